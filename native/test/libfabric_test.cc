#include "network/libfabric.h"

#include "test/network_fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

namespace {

void otherHandler(int) {}

bool sameHandler(const struct sigaction& one, const struct sigaction& other) {
  // SA_RESTORER, which the C library adds to every handler that it sets.
  constexpr int kRestorer = 0x04000000;
  return one.sa_sigaction == other.sa_sigaction && (one.sa_flags & ~kRestorer) == (other.sa_flags & ~kRestorer);
}

}  // namespace

TEST_SUITE("libfabric") {
  TEST_CASE("loading it changes no signal handler" * withFabric()) {
    const Handlers& handlers = Handlers::aroundLoading();
    for (std::size_t signal = 1; signal < handlers.before.size(); ++signal) {
      CAPTURE(signal);
      CHECK(sameHandler(handlers.before[signal], handlers.after[signal]));
    }
  }

  TEST_CASE("a guard puts back what was changed while it was there") {
    const auto before = Handlers::now();
    {
      const SignalHandlerGuard guard;
      std::signal(SIGUSR2, otherHandler);
      CHECK_FALSE(sameHandler(Handlers::now()[SIGUSR2], before[SIGUSR2]));
    }
    CHECK(sameHandler(Handlers::now()[SIGUSR2], before[SIGUSR2]));
  }

  TEST_CASE("a provider that there is not is refused with the reason" * withFabric()) {
    CHECK(errorOf([] { const Domain domain({.provider = "carrier pigeon"}); }) == "SystemError");
    CHECK(errorOf([] { const Domain domain({.address = "not an address"}); }) == "BadArgument");
    CHECK(errorOf([] { const Domain domain({.address = "192.0.2.77", .provider = "net"}); }) == "SystemError");
  }

  TEST_CASE("without a wish the best provider is taken, and it says why the ones before it were not" * withFabric()) {
    const Domain domain({});
    CHECK((domain.provider() == "verbs" || domain.provider() == "net" || domain.provider() == "tcp"));
    if (domain.provider() != "verbs") {
      REQUIRE_FALSE(domain.refusedProviders().empty());
      CHECK(domain.refusedProviders().front().first == "verbs");
      CHECK_FALSE(domain.refusedProviders().front().second.empty());
    }
  }
}
