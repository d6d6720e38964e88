#include "network/memory_server.h"

#include <set>
#include <thread>

#include "test/network_fixtures.h"

using namespace sandloom;
using namespace sandloom::test;
using namespace std::chrono_literals;

namespace {

// Speaks to a server message by message, as a client would that is broken, or asks again.
class RawClient final : private Endpoint::Owner {
 public:
  RawClient(Domain& domain, const Card& card) : domain_(domain) {
    domain_.runInside([&] {
      const SocketAddress address = SocketAddress::of(card.address, card.port);
      endpoint_ = domain_.openEndpoint(*domain_.objects().infoTo(address), *this);
      endpoint_->connect(address);
    });
    REQUIRE(eventually([this] { return connected_.load(); }));
  }
  ~RawClient() {
    domain_.runInside([this] {
      if (endpoint_ != nullptr) domain_.bury(std::move(endpoint_));
    });
  }

  void send(std::span<const std::byte> content) {
    domain_.runInside([&] {
      if (endpoint_ != nullptr) endpoint_->send(next_send_++ % Endpoint::kMessages, content);
    });
  }
  wire::Reply ask(const wire::Request& request) {
    const unsigned before = arrived_;
    send(wire::encode(request).content());
    REQUIRE(eventually([&] { return arrived_ > before; }));
    wire::Reply reply;
    domain_.runInside([&] { reply = last_; });
    return reply;
  }
  bool ended() const { return ended_; }

 private:
  void messageArrived(unsigned index, std::span<const std::byte> content) override {
    last_ = wire::decodeReply(content).value_or(wire::Reply{});
    endpoint_->receiveAgain(index);
    ++arrived_;
  }
  void messageSent(unsigned) override {}
  void transferDone(unsigned) override {}
  void connected() override { connected_ = true; }
  void broken(const std::string&) override {
    domain_.bury(std::move(endpoint_));
    ended_ = true;
  }

  Domain& domain_;
  std::unique_ptr<Endpoint> endpoint_;
  wire::Reply last_;
  unsigned next_send_ = 0;
  std::atomic<unsigned> arrived_ = 0;
  std::atomic<bool> connected_ = false;
  std::atomic<bool> ended_ = false;
};

}  // namespace

TEST_SUITE("memory server") {
  TEST_CASE("spans are whole pages, zeroed, and apart; one that is freed is given out again, zeroed" * withFabric()) {
    Loopback loopback("net", {.slab_bytes = 4 * kMiB});
    const RemoteSpan first = loopback.memory.allocate(5000);
    const RemoteSpan second = loopback.memory.allocate(1);
    CHECK(first.bytes == 2 * kPageBytes);
    CHECK(second.bytes == kPageBytes);
    CHECK((first.offset + first.bytes <= second.offset || second.offset + second.bytes <= first.offset));
    CHECK(loopback.server.stats().used_bytes == 3 * kPageBytes);
    loopback.memory.free(first);
    loopback.memory.free(second);
    CHECK(errorOf([&] { loopback.memory.free(second); }) == "BadRegion");
    const RemoteSpan all = loopback.memory.allocate(4 * kMiB);
    loopback.memory.write(all, 0, std::vector<std::byte>(all.bytes, std::byte{0xee}));
    loopback.memory.free(all);
    CHECK(loopback.server.stats().used_bytes == 0);
    std::vector<std::byte> content(all.bytes, std::byte{1});
    loopback.memory.read(loopback.memory.allocate(4 * kMiB), 0, content);
    CHECK(isFilled(content.data(), content.size(), 0));
  }

  TEST_CASE("a server that is full says so, and how full" * withFabric()) {
    Loopback loopback("net", {.slab_bytes = 4 * kMiB});
    const RemoteSpan span = loopback.memory.allocate(3 * kMiB);
    CHECK(errorOf([&] { loopback.memory.allocate(2 * kMiB); }) == "QuotaExceeded");  // no quota but all of it
    Loopback generous("net", {.slab_bytes = 4 * kMiB, .quota_bytes = 64 * kMiB});
    generous.memory.allocate(3 * kMiB);
    CHECK(errorOf([&] { generous.memory.allocate(2 * kMiB); }) == "FabricFull");
    CHECK(errorValueOf([&] { generous.memory.allocate(2 * kMiB); }, "used_bytes") == asValue(3 * kMiB));
    CHECK(errorValueOf([&] { generous.memory.allocate(2 * kMiB); }, "limit_bytes") == asValue(4 * kMiB));
    CHECK(errorOf([&] { generous.memory.allocate(8 * kMiB); }) == "FabricFull");
    CHECK(errorOf([&] { generous.memory.allocate(~std::uint64_t{0}); }) == "QuotaExceeded");
    CHECK(errorOf([&] { generous.memory.allocate(0); }) == "BadRange");
    CHECK(generous.memory.allocate(kMiB).bytes == kMiB);
    loopback.memory.free(span);
    CHECK(loopback.memory.allocate(4 * kMiB).bytes == 4 * kMiB);
  }

  TEST_CASE("each tenant has its quota, and knows nothing of what others have" * withFabric()) {
    Loopback loopback("net", {.slab_bytes = 8 * kMiB, .quota_bytes = 2 * kMiB, .quotas_bytes = {{7, kMiB}}}, false, 7);
    const RemoteSpan span = loopback.memory.allocate(kMiB);
    CHECK(errorOf([&] { loopback.memory.allocate(1); }) == "QuotaExceeded");
    CHECK(errorValueOf([&] { loopback.memory.allocate(kPageBytes); }, "limit_bytes") == asValue(kMiB));
    CHECK(errorValueOf([&] { loopback.memory.allocate(kPageBytes); }, "used_bytes") == asValue(kMiB));
    Domain other_domain({.provider = "net", .tenant = 8});
    RemoteMemory other(other_domain, other_domain.addPeer(loopback.server.card()));
    other.allocate(2 * kMiB);
    CHECK(errorOf([&] { other.allocate(1); }) == "QuotaExceeded");
    CHECK(errorOf([&] { other.free(span); }) == "BadRegion");
    CHECK(errorOf([&] { other.fetchAdd(span, 0, 1); }) == "BadRange");
    CHECK(errorOf([&] { other.version(span); }) == "BadRegion");
    loopback.memory.free(span);
    CHECK(loopback.memory.allocate(kMiB).bytes == kMiB);
  }

  TEST_CASE("what several threads of two clients add sums up, and no two of them see the same" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      Loopback loopback(provider);
      Domain second_domain({.provider = provider});
      RemoteMemory second(second_domain, second_domain.addPeer(loopback.server.card()));
      const RemoteSpan span = loopback.memory.allocate(kPageBytes);
      constexpr unsigned kThreads = 4;
      constexpr unsigned kRounds = 200;
      std::vector<std::vector<std::uint64_t>> seen(kThreads);
      std::vector<std::thread> threads;
      for (unsigned index = 0; index < kThreads; ++index)
        threads.emplace_back([&, index] {
          for (unsigned round = 0; round < kRounds; ++round)
            seen[index].push_back((index % 2 == 0 ? loopback.memory : second).fetchAdd(span, 8, 3));
        });
      for (std::thread& thread : threads) thread.join();
      std::set<std::uint64_t> different;
      for (const auto& values : seen) different.insert(values.begin(), values.end());
      CHECK(different.size() == kThreads * kRounds);
      std::uint64_t word = 0;
      loopback.memory.read(span, 8, std::as_writable_bytes(std::span(&word, 1)));
      CHECK(word == 3 * kThreads * kRounds);
      CHECK(loopback.memory.fetchAdd(span, 0, 0) == 0);
    }
  }

  TEST_CASE("a word is swapped only if it is what was expected; one that is not aligned is refused" * withFabric()) {
    Loopback loopback("net");
    const RemoteSpan span = loopback.memory.allocate(kPageBytes);
    CHECK(loopback.memory.compareAndSwap(span, 16, 0, 5) == 0);
    CHECK(loopback.memory.compareAndSwap(span, 16, 0, 6) == 5);
    CHECK(loopback.memory.compareAndSwap(span, 16, 5, 7) == 5);
    CHECK(loopback.memory.fetchAdd(span, 16, 0) == 7);
    CHECK(errorOf([&] { loopback.memory.fetchAdd(span, 4, 1); }) == "BadArgument");
    // The server does not rely on the client's own check.
    const auto status = [&](const wire::Body& body) { return loopback.domain.call(loopback.peer, body).status; };
    CHECK(status(wire::FetchAdd{0, span.offset + 4, 1}) == wire::Status::kBadRange);
    CHECK(status(wire::FetchAdd{0, span.offset + span.bytes, 1}) == wire::Status::kBadRange);
    CHECK(status(wire::FetchAdd{1, span.offset, 1}) == wire::Status::kBadRange);
    CHECK(status(wire::FetchAdd{0, ~std::uint64_t{7}, 1}) == wire::Status::kBadRange);
    CHECK(status(wire::CompareAndSwap{0, span.offset + span.bytes, 0, 1}) == wire::Status::kBadRange);
  }

  TEST_CASE("a version starts at 0 and is raised by one" * withFabric()) {
    Loopback loopback("net");
    const RemoteSpan span = loopback.memory.allocate(kPageBytes);
    CHECK(loopback.memory.version(span) == 0);
    CHECK(loopback.memory.raiseVersion(span) == 1);
    CHECK(loopback.memory.raiseVersion(span) == 2);
    CHECK(loopback.memory.version(span) == 2);
    RemoteSpan inside = span;
    inside.offset += 8;
    CHECK(errorOf([&] { loopback.memory.version(inside); }) == "BadRegion");
  }

  TEST_CASE("a request that is asked again, also by another connection, is answered as before and not done again" * withFabric()) {
    Loopback loopback("net");
    const RemoteSpan span = loopback.memory.allocate(kPageBytes);
    const wire::Request add = {1000, wire::FetchAdd{0, span.offset, 5}};
    RawClient first(loopback.domain, loopback.server.card());
    CHECK(first.ask({1, wire::Hello{42, 0}}).offset == 0);
    CHECK(first.ask(add).value == 0);
    CHECK(first.ask(add).value == 0);
    RawClient second(loopback.domain, loopback.server.card());
    CHECK(second.ask({2, wire::Hello{42, 0}}).offset == 1);
    CHECK(second.ask(add).value == 0);
    CHECK(second.ask({1001, wire::FetchAdd{0, span.offset, 5}}).value == 5);
    CHECK(loopback.memory.fetchAdd(span, 0, 0) == 10);
    CHECK(loopback.server.stats().replayed == 2);
    // The older connection of a client ends with the newer.
    CHECK(eventually([&] { return first.ended(); }));
  }

  TEST_CASE("a client that says anything but what is expected of it is cut off; others are not" * withFabric()) {
    Loopback loopback("net");
    loopback.memory.ping();
    const std::vector<std::byte> noise = randomBytes(wire::kMaxMessageBytes, 9);
    const std::vector<std::vector<std::byte>> openings = {noise, {noise.begin(), noise.begin() + 14}, {noise.begin(), noise.begin() + 1}};
    for (const auto& opening : openings) {
      RawClient client(loopback.domain, loopback.server.card());
      client.send(opening);
      CHECK(eventually([&] { return client.ended(); }));
    }
    RawClient nameless(loopback.domain, loopback.server.card());
    nameless.send(wire::encode(wire::Request{1, wire::Ping{}}).content());
    CHECK(eventually([&] { return nameless.ended(); }));
    RawClient twice(loopback.domain, loopback.server.card());
    twice.ask({1, wire::Hello{43, 0}});
    twice.send(wire::encode(wire::Request{2, wire::Hello{43, 0}}).content());
    CHECK(eventually([&] { return twice.ended(); }));
    CHECK(loopback.server.stats().garbage == openings.size() + 2);
    loopback.memory.ping();
    CHECK(loopback.domain.stats().sessions == 0);
    CHECK(loopback.server_domain.stats().sessions == 1);
  }

  TEST_CASE("what a client had is given back when its lease has ended, and not before" * withFabric()) {
    Loopback loopback("net", {.slab_bytes = 4 * kMiB, .lease = 300ms});
    const auto asked_at = Clock::now();
    {
      Domain brief_domain({.provider = "net"});
      RemoteMemory brief(brief_domain, brief_domain.addPeer(loopback.server.card()));
      brief.allocate(kMiB);
    }
    CHECK(eventually([&] { return loopback.server_domain.stats().sessions <= 1; }));
    CHECK(loopback.server.stats().spans == 1);
    CHECK(eventually([&] { return loopback.server.stats().spans == 0; }));
    CHECK(Clock::now() - asked_at >= 300ms);
    CHECK(loopback.server.stats().expired_leases >= 1);
    CHECK(eventually([&] { return loopback.server.stats().unzeroed_bytes == 0; }));
  }

  TEST_CASE("a client that is there but asks for nothing keeps what it has" * withFabric()) {
    Domain server_domain({.provider = "net"});
    MemoryServer server(server_domain, {.slab_bytes = 4 * kMiB, .lease = 300ms});
    Domain domain({.provider = "net", .heartbeat = 20ms});
    RemoteMemory memory(domain, domain.addPeer(server.card()));
    memory.allocate(kPageBytes);
    const auto start = Clock::now();
    CHECK(eventually([&] { return Clock::now() - start > 3 * 300ms; }));
    CHECK(server.stats().spans == 1);
    CHECK(server.stats().expired_leases == 0);
    CHECK(server.stats().requests > 5);
  }

  TEST_CASE("a client whose lease has ended is told that what it had is gone" * withFabric()) {
    Loopback loopback("net", {.slab_bytes = 4 * kMiB, .lease = 100ms});
    const RemoteSpan span = loopback.memory.allocate(kPageBytes);
    CHECK(eventually([&] { return loopback.server.stats().spans == 0; }));
    std::vector<std::byte> page(kPageBytes);
    CHECK(eventually([&] { return errorOf([&] { loopback.memory.read(span, 0, page); }) == "FabricPeerRestarted"; }));
  }
}
