#include "memory/region_store.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

namespace {

constexpr SlabPool::Options kSmallStore = {.slab_bytes = 4 * kMiB, .capacity_bytes = 16 * kMiB, .idle_bytes = 4 * kMiB};

struct ConfiguredStore {
  explicit ConfiguredStore(SlabPool::Options options = kSmallStore) { store.configure(options); }
  RegionStore store;
};

std::byte* dataOf(RegionStore& store, RegionId region) {
  return store.lease(region).extent().data();
}

}  // namespace

TEST_SUITE("region store") {
  TEST_CASE("a region is zeroed, whole pages, and has one reference") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    const RegionId region = store.allocate(account, 5000);
    const auto info = store.info(region);
    CHECK(info.bytes == 8192);
    CHECK(info.account == account);
    CHECK(info.references == 1);
    std::array<std::byte, 8192> content;
    content.fill(std::byte{1});
    store.read(region, 0, content);
    CHECK(isFilled(content.data(), content.size(), 0));
    CHECK(store.stats().pool.used_bytes == 8192);
    CHECK(store.release(region));
  }

  TEST_CASE("a published region holds its pieces, and zeros between and behind them, whatever its pages held before") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    const RegionId before = store.allocate(account, 64 * kKiB);
    const std::byte* pages = dataOf(store, before);
    std::memset(dataOf(store, before), 0xee, 64 * kKiB);
    store.release(before);
    std::array<std::byte, 5000> first;
    std::array<std::byte, 3000> second;
    first.fill(std::byte{1});
    second.fill(std::byte{2});
    const std::array<RegionStore::Piece, 3> pieces = {{{second, 20'000}, {first, 100}, {{}, 60'000}}};
    const RegionId region = store.publish(account, 65'000, pieces);
    CHECK(dataOf(store, region) == pages);  // as they were: not zeroed in between
    std::vector<std::byte> content(64 * kKiB);
    store.read(region, 0, content);
    const auto holds = [&](std::size_t from, std::size_t to, std::uint8_t byte) { return isFilled(&content[from], to - from, byte); };
    CHECK(holds(0, 100, 0));
    CHECK(holds(100, 5100, 1));
    CHECK(holds(5100, 20'000, 0));
    CHECK(holds(20'000, 23'000, 2));
    CHECK(holds(23'000, content.size(), 0));
    CHECK(store.accountStats(account).used_bytes == 64 * kKiB);
    const std::array<RegionStore::Piece, 1> outside = {{{second, 64'000}}};
    CHECK(errorOf([&] { store.publish(account, 65'000, outside); }) == "BadArgument");
    CHECK(store.accountStats(account).used_bytes == 64 * kKiB);
  }

  TEST_CASE("heap costs its account nothing until it is adopted, and ends with it") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(2 * kPageBytes);
    const RegionId small = store.allocateHeap(account, 100);
    const RegionId large = store.allocateHeap(account, 3 * kPageBytes);
    CHECK(store.accountStats(account).used_bytes == 0);
    CHECK(isFilled(dataOf(store, large), 3 * kPageBytes, 0));
    store.adopt(small);
    store.adopt(small);
    CHECK(store.accountStats(account).used_bytes == kPageBytes);
    CHECK(store.accountStats(account).peak_bytes == kPageBytes);
    CHECK(errorOf([&] { store.adopt(large); }) == "MemoryCapExceeded");
    CHECK(errorOf([&] { store.allocateHeap(account, 0); }) == "BadArgument");
    CHECK(errorOf([&] { store.allocateHeap(account, 17 * kMiB); }) == "FabricFull");
    const RegionId brief = store.allocateHeap(account, 100);
    store.release(brief);
    CHECK(store.takeFreed(account).empty());
    const RegionLease lease = store.lease(large);
    CHECK(store.closeAccount(account) == 1);  // what was adopted
    CHECK(errorOf([&] { store.adopt(large); }) == "BadRegion");
    CHECK(lease.extent().bytes() == 3 * kPageBytes);
    CHECK(errorOf([&] { store.allocateHeap(account, 100); }) == "BadArgument");
  }

  TEST_CASE("what is freed and not written over is zeroed, for whoever waits and for the next one") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(64 * kMiB);
    for (int round = 0; round < 20; ++round) {
      // All of the store: the next one must wait until pages of this one are zero.
      const RegionId region = store.allocate(account, 16 * kMiB);
      std::byte* data = dataOf(store, region);
      CHECK(isFilled(data, 16 * kMiB, 0));
      std::memset(data, 0xee, 16 * kMiB);
      store.release(region);
    }
    store.settle();
    CHECK(store.stats().pool.zero_pending_bytes == 0);
  }

  TEST_CASE("a region is freed with its last reference, and its id is never good again") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    const RegionId region = store.allocate(account, kPageBytes);
    store.retain(region);
    CHECK_FALSE(store.release(region));
    CHECK(store.takeFreed(account).empty());
    CHECK(store.release(region));
    const auto freed = store.takeFreed(account);
    REQUIRE(freed.size() == 1);
    CHECK(freed[0].region == region);
    CHECK(freed[0].at_ms > 0);
    CHECK(store.takeFreed(account).empty());
    CHECK(errorOf([&] { store.retain(region); }) == "BadRegion");
    CHECK(errorOf([&] { store.release(region); }) == "BadRegion");
    CHECK(errorOf([&] { (void)store.lease(region); }) == "BadRegion");
    CHECK(store.allocate(account, kPageBytes) != region);
    CHECK(store.accountStats(account).used_bytes == kPageBytes);
  }

  TEST_CASE("an account has a limit, and remembers its peak") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(3 * kPageBytes);
    const RegionId first = store.allocate(account, 2 * kPageBytes);
    const auto too_much = [&] { store.allocate(account, kPageBytes + 1); };
    CHECK(errorOf(too_much) == "MemoryCapExceeded");
    CHECK(errorValueOf(too_much, "requested_bytes") == 2 * kPageBytes);
    CHECK(errorValueOf(too_much, "limit_bytes") == 3 * kPageBytes);
    CHECK(errorValueOf(too_much, "used_bytes") == 2 * kPageBytes);
    store.release(first);
    store.allocate(account, kPageBytes);
    CHECK(store.accountStats(account).regions == 1);
    CHECK(store.accountStats(account).used_bytes == kPageBytes);
    CHECK(store.accountStats(account).peak_bytes == 2 * kPageBytes);
  }

  TEST_CASE("closing an account frees what is left in it") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    const AccountId other = store.openAccount(kMiB);
    const RegionId kept = store.allocate(other, kPageBytes);
    const RegionId lost = store.allocate(account, kPageBytes);
    store.retain(lost);
    store.allocate(account, kPageBytes);
    CHECK(store.closeAccount(account) == 2);
    CHECK(errorOf([&] { (void)store.info(lost); }) == "BadRegion");
    CHECK(errorOf([&] { store.allocate(account, 1); }) == "BadArgument");
    CHECK(errorOf([&] { store.closeAccount(account); }) == "BadArgument");
    CHECK(errorOf([&] { (void)store.accountStats(account); }) == "BadArgument");
    CHECK(store.info(kept).references == 1);
    CHECK(store.stats().pool.used_bytes == kPageBytes);
  }

  TEST_CASE("the pages of a closed account are not reused while somebody holds them") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    const RegionId region = store.allocate(account, kPageBytes);
    {
      const RegionLease lease = store.lease(region);
      store.closeAccount(account);
      lease.extent().data()[0] = std::byte{1};
      store.settle();
      CHECK(store.stats().regions == 0);
      CHECK(store.stats().pool.used_bytes == kPageBytes);
      CHECK(lease.extent().data()[0] == std::byte{1});
    }
    CHECK(store.stats().pool.used_bytes == 0);
  }

  TEST_CASE("memory is zeroed before it is used again") {
    std::size_t bytes = 0;
    SUBCASE("a page, zeroed at once") { bytes = kPageBytes; }
    SUBCASE("a megabyte, zeroed in the background") { bytes = kMiB; }
    SUBCASE("more than is kept: given back to the kernel") { bytes = 8 * kMiB; }
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(64 * kMiB);
    for (int round = 0; round < 20; ++round) {
      const RegionId region = store.allocate(account, bytes);
      std::byte* data = dataOf(store, region);
      REQUIRE(isFilled(data, bytes, 0));
      std::memset(data, 0xee, bytes);
      store.release(region);
      if (round % 3 == 0) store.settle();
    }
  }

  TEST_CASE("freed memory is kept up to the idle budget, and found again") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(64 * kMiB);
    const RegionId first = store.allocate(account, 3 * kMiB);
    const RegionId second = store.allocate(account, 3 * kMiB);
    const auto place = store.physical(first);
    store.release(first);
    store.settle();
    CHECK(store.stats().pool.idle_bytes == 3 * kMiB);
    store.release(second);
    store.settle();
    CHECK(store.stats().pool.idle_bytes == 4 * kMiB);
    CHECK(store.stats().pool.zero_pending_bytes == 0);
    const auto again = store.physical(store.allocate(account, 3 * kMiB));
    CHECK(again.slab == place.slab);
    CHECK(again.offset == place.offset);
    store.configure({.slab_bytes = 4 * kMiB, .capacity_bytes = 16 * kMiB, .idle_bytes = 0});
    store.settle();
    CHECK(store.stats().pool.idle_bytes == 0);
  }

  TEST_CASE("the store has a capacity") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(1024 * kMiB);
    const RegionId most = store.allocate(account, 15 * kMiB);
    const auto too_much = [&] { store.allocate(account, 2 * kMiB); };
    CHECK(errorOf(too_much) == "FabricFull");
    CHECK(errorValueOf(too_much, "requested_bytes") == 2 * kMiB);
    CHECK(errorValueOf(too_much, "limit_bytes") == 16 * kMiB);
    CHECK(errorValueOf(too_much, "used_bytes") == 15 * kMiB);
    CHECK(store.accountStats(account).used_bytes == 15 * kMiB);  // a refused region costs nothing
    CHECK(store.accountStats(account).peak_bytes == 15 * kMiB);
    store.release(most);
    store.allocate(account, 16 * kMiB);  // waits for what is being zeroed
    CHECK(store.stats().pool.used_bytes == 16 * kMiB);
  }

  TEST_CASE("small regions share a slab; one that is larger than a slab gets its own, and it goes with it") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(1024 * kMiB);
    const RegionId one = store.allocate(account, kPageBytes);
    const RegionId two = store.allocate(account, kPageBytes);
    CHECK(store.physical(one).slab == store.physical(two).slab);
    CHECK(store.physical(one).offset != store.physical(two).offset);
    const RegionId large = store.allocate(account, 10 * kMiB);
    CHECK(store.physical(large).slab != store.physical(one).slab);
    CHECK(store.physical(large).offset % kHugePageBytes == 0);
    CHECK(store.stats().pool.slabs == 2);
    store.configure({.slab_bytes = 4 * kMiB, .capacity_bytes = 16 * kMiB, .idle_bytes = 0});
    store.release(large);
    store.settle();
    CHECK(store.stats().pool.slabs == 1);
  }

  TEST_CASE("arguments are checked") {
    ConfiguredStore configured;
    RegionStore& store = configured.store;
    const AccountId account = store.openAccount(kMiB);
    CHECK(errorOf([&] { store.allocate(account, 0); }) == "BadArgument");
    CHECK(errorOf([&] { store.allocate(account, 4097 * kMiB); }) == "BadArgument");
    CHECK(errorOf([&] { store.allocate(account + 1, 1); }) == "BadArgument");
    CHECK(errorOf([&] { store.retain(77); }) == "BadRegion");
    const RegionId region = store.allocate(account, kPageBytes);
    std::array<std::byte, 16> out;
    CHECK(errorOf([&] { store.read(region, kPageBytes - 15, out); }) == "BadArgument");
    CHECK(errorOf([&] { store.read(region, SIZE_MAX - 4, out); }) == "BadArgument");
    store.read(region, kPageBytes - 16, out);
  }

  TEST_CASE("threads allocate, write, share and release at once, and never see each other's bytes") {
    ConfiguredStore configured({.slab_bytes = 8 * kMiB, .capacity_bytes = 64 * kMiB, .idle_bytes = 6 * kMiB});
    RegionStore& store = configured.store;
    std::atomic<int> failures = 0;
    const auto work = [&](unsigned seed) {
      std::mt19937 random(seed);
      const AccountId account = store.openAccount(12 * kMiB);
      const auto fill = static_cast<unsigned char>(seed);
      std::vector<RegionId> held;
      for (int step = 0; step < 400; ++step) {
        if (held.size() < 4) {
          const std::size_t bytes = (random() % 8 == 0 ? 600 : 1 + random() % 20) * kPageBytes;
          const RegionId region = store.allocate(account, bytes);
          const RegionLease lease = store.lease(region);
          if (lease.extent().data()[0] != std::byte{0} || lease.extent().data()[bytes - 1] != std::byte{0}) ++failures;
          lease.extent().data()[0] = std::byte{fill};
          lease.extent().data()[bytes - 1] = std::byte{fill};
          held.push_back(region);
        } else {
          std::swap(held[random() % held.size()], held.back());
          std::array<std::byte, 1> first;
          store.read(held.back(), 0, first);
          if (first[0] != std::byte{fill}) ++failures;
          store.release(held.back());
          held.pop_back();
        }
      }
      (void)store.stats();
      store.closeAccount(account);
    };
    {
      std::vector<std::jthread> threads;
      for (unsigned seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
    }
    CHECK(failures == 0);
    CHECK(store.stats().pool.used_bytes == 0);
    CHECK(store.stats().regions == 0);
  }
}
