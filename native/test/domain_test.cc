#include "network/domain.h"

#include <atomic>
#include <thread>

#include "test/network_fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

TEST_SUITE("domain") {
  TEST_CASE("what is written to another server is what is read from it, in any size, at any offset, staged or not") {
    if (!haveFabric()) return;
    for (const std::string& provider : kProviders) {
      for (const bool stage : {false, true}) {
        CAPTURE(provider);
        CAPTURE(stage);
        Loopback loopback(provider, {.slab_bytes = 8 * kMiB}, stage);
        const RemoteSpan span = loopback.memory.allocate(6 * kMiB);
        CHECK(span.bytes == 6 * kMiB);
        unsigned seed = 0;
        for (const std::size_t bytes : {std::size_t{1}, std::size_t{8}, kPageBytes, 64 * kKiB, kMiB, 3 * kMiB + 17}) {
          CAPTURE(bytes);
          const std::size_t offset = 5 * seed + 4096;
          const std::vector<std::byte> written = randomBytes(bytes, ++seed);
          loopback.memory.write(span, offset, written);
          std::vector<std::byte> read(bytes + 2);
          loopback.memory.read(span, offset, std::span(read).subspan(1, bytes));
          CHECK(std::equal(written.begin(), written.end(), read.begin() + 1));
          CHECK(read.front() == std::byte{0});
          CHECK(read.back() == std::byte{0});
        }
      }
    }
  }
}
