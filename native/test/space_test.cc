#include "memory/space.h"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

namespace {

constexpr std::size_t kWindowOffset = 4 * kMiB;
constexpr std::size_t kWindowBytes = 16 * kMiB;
constexpr std::size_t kImageBytes = 32 * kMiB;  // 4 MiB below the window, 12 MiB above
constexpr std::size_t kMemoryBytes = 34 * kMiB;
constexpr std::size_t kAbove = (kWindowOffset + kWindowBytes) / kPageBytes;

// A store, an image with a few pages of data on both sides of the window, and sandboxes.
struct World {
  World() {
    writeSparse(folder.file("base"), kImageBytes, {{0, 10}, {1, 11}, {2, 12}, {700, 13}, {kAbove, 14}, {kAbove + 9, 15}});
    image = Image::open(folder.file("base"), std::nullopt);
    account = store.openAccount(256 * kMiB);
  }

  std::unique_ptr<Space> space(const LinearMemory& memory, const PageScanner& scanner = PageScanner::ofProcess()) {
    return std::make_unique<Space>(memory.base(), kMemoryBytes, Space::Options{kWindowOffset, kWindowBytes}, store, scanner);
  }
  std::unique_ptr<Space> mapped(const LinearMemory& memory, const PageScanner& scanner = PageScanner::ofProcess()) {
    auto made = space(memory, scanner);
    made->mapImage(image);
    return made;
  }

  TemporaryFolder folder;
  RegionStore store;
  std::shared_ptr<const Image> image;
  AccountId account = 0;
};

bool equalsImage(const LinearMemory& memory, const Image& image) {
  const std::size_t end = kWindowOffset + kWindowBytes;
  return std::memcmp(memory.base(), image.data(), kWindowOffset) == 0 &&
         std::memcmp(memory.base() + end, image.data() + end, image.bytes() - end) == 0 &&
         isFilled(memory.base() + image.bytes(), kMemoryBytes - image.bytes(), 0);
}

}  // namespace

TEST_SUITE("space") {
  TEST_CASE("an image is mapped around the window, and zeros everywhere else") {
    World world;
    const LinearMemory memory;
    std::memset(memory.base(), 0xcc, kMemoryBytes);
    const auto space = world.mapped(memory);
    CHECK(equalsImage(memory, *world.image));
    CHECK(isFilled(memory.base() + kWindowOffset, kWindowBytes, 0));
    CHECK(isFilled(&memory.page(kAbove), kPageBytes, 14));
    CHECK(memory[kMemoryBytes] == std::byte{0});
    CHECK(space->dirtyPages().empty());
  }

  TEST_CASE("reset gives back the image, whichever way dirty pages are found") {
    World world;
    const LinearMemory memory;
    std::optional<PageScanner> scanner;
    SUBCASE("default") { scanner.emplace(); }
    SUBCASE("pagemap") { scanner.emplace(PageScanner::Method::kPagemap); }
    const auto space = world.mapped(memory, *scanner);
    for (int round = 0; round < 3; ++round) {
      memory.page(0) = std::byte{99};
      memory.page(3) = std::byte{99};
      memory.page(700) = std::byte{99};
      memory.page(kAbove + 9) = std::byte{99};
      memory[kImageBytes + 5] = std::byte{99};
      memory[kMemoryBytes - 1] = std::byte{99};
      memory[kWindowOffset + 12345] = std::byte{99};
      CHECK(space->dirtyPages() == std::vector<std::uint32_t>{0, 3, 700, kAbove + 9, kImageBytes / kPageBytes,
                                                              kMemoryBytes / kPageBytes - 1});
      CHECK(space->privateBytes() == 6 * kPageBytes);
      const auto summary = space->reset();
      CHECK(summary.dirty_pages == 3);
      CHECK(summary.tail_bytes == 3 * kPageBytes);  // page 700 lies in a hole of the image
      CHECK(summary.regions_detached == 0);
      CHECK(equalsImage(memory, *world.image));
      CHECK(isFilled(memory.base() + kWindowOffset, kWindowBytes, 0));
      CHECK(space->dirtyPages().empty());
      space->mapImage(world.image);  // drops the zero pages that reading the tail left
    }
  }

  TEST_CASE("a run without a page fault needs no scan to be reset") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kMiB);
    const auto run = [&](std::initializer_list<std::size_t> pages) {
      space->enter();
      const std::size_t offset = space->attach(region, true, true);  // its faults are counted out
      memory[offset + kMiB - 1] = std::byte{7};
      for (const std::size_t page : pages) memory.page(page) = std::byte{99};
      memory[kMemoryBytes - 1] = std::byte{99};
      const auto summary = space->reset();
      CHECK(summary.tail_bytes == kPageBytes);
      for (const std::size_t page : pages)
        CHECK(std::memcmp(&memory.page(page), world.image->data() + page * kPageBytes, kPageBytes) == 0);
      CHECK(memory[kMemoryBytes - 1] == std::byte{0});
      return summary;
    };
    CHECK(run({0, 700, kAbove}).scanned);  // nothing is known yet
    // Now and then the C++ runtime itself takes a fault.
    bool any_without = false;
    for (int round = 0; round < 5; ++round) {
      const auto summary = run({0, kAbove});
      CHECK(summary.dirty_pages == 3);  // 700 is private since the first run, and copied back too
      any_without = any_without || !summary.scanned;
    }
    CHECK(any_without);
    const auto more = run({0, 1});
    CHECK(more.scanned);
    CHECK(more.dirty_pages == 4);
    memory.page(2) = std::byte{99};
    CHECK(space->reset().scanned);  // nobody said that a run began
    CHECK(equalsImage(memory, *world.image));
    world.store.release(region);
  }

  TEST_CASE("what an image ends with besides zeros is where the tail begins") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    CHECK(world.image->dataBytes() == (kAbove + 10) * kPageBytes);
    memory.page(kAbove + 9) = std::byte{99};
    memory.page(kAbove + 10) = std::byte{99};
    const auto summary = space->reset();
    CHECK(summary.dirty_pages == 1);
    CHECK(summary.tail_bytes == kPageBytes);
    CHECK(equalsImage(memory, *world.image));
  }

  TEST_CASE("a page that was written with what it held is not dirty by content") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    memory.page(1) = std::byte{11};
    CHECK(space->dirtyPages().empty());
    CHECK(space->privateBytes() == kPageBytes);
  }

  TEST_CASE("pages past the image that a grown memory dirtied are dropped") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    space->rebind(memory.base(), kMemoryBytes + 8 * kMiB);
    std::memset(memory.base() + kMemoryBytes, 0xcc, 8 * kMiB);
    CHECK(space->reset().tail_bytes == 8 * kMiB);
    CHECK(space->privateBytes() == 2 * kMiB);  // the first of them are kept, as zeros
    CHECK(isFilled(memory.base() + kMemoryBytes, 8 * kMiB, 0));
  }

  TEST_CASE("a delta that one sandbox wrote is the image of others") {
    World world;
    const LinearMemory first;
    const auto writer = world.mapped(first);
    first.page(2) = std::byte{42};
    first.page(700) = std::byte{0};
    std::memset(&first.page(1), 0, kPageBytes);  // a page that becomes zero is part of the delta too
    first[kMemoryBytes - 1] = std::byte{43};
    first[kWindowOffset] = std::byte{44};  // the window is not
    const DeltaSummary summary = writer->writeDelta(world.folder.file("delta"), kMemoryBytes);
    CHECK(summary.pages == 4);

    const auto app = Image::open(world.folder.file("base"), world.folder.file("delta"));
    CHECK(app->bytes() == kMemoryBytes);
    const LinearMemory second;
    const auto reader = world.space(second);
    reader->mapImage(app);
    first[kWindowOffset] = std::byte{0};
    CHECK(std::memcmp(first.base(), second.base(), kMemoryBytes) == 0);
    second.page(2) = std::byte{1};
    CHECK(first.page(2) == std::byte{42});
    CHECK(reader->reset().dirty_pages == 1);
    CHECK(second.page(2) == std::byte{42});
    CHECK(reader->dirtyPages().empty());
  }

  TEST_CASE("what of the tail is not written any more is given back after some resets, and what is written stays") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    constexpr std::size_t kUsed = 100;
    std::memset(&memory.page(kAbove + 10), 1, kUsed * kPageBytes);
    (void)space->reset();
    CHECK(space->privateBytes() >= kUsed * kPageBytes);
    for (int round = 0; round < 8; ++round) {
      space->enter();
      memory.page(kAbove + 12) = std::byte{1};
      (void)space->reset();
    }
    CHECK(space->privateBytes() < kUsed * kPageBytes);
    CHECK(space->privateBytes() >= kPageBytes);
    CHECK(equalsImage(memory, *world.image));
  }

  TEST_CASE("a sandbox goes from one application to another over the same base, and back") {
    World world;
    const auto variant = [&](const char* name, std::initializer_list<std::pair<std::size_t, int>> pages) {
      const LinearMemory memory;
      const auto writer = world.mapped(memory);
      for (const auto& [page, value] : pages) memory.page(page) = static_cast<std::byte>(value);
      writer->writeDelta(world.folder.file(name), world.image->bytes());
      return Image::openVariant(world.image, world.folder.file(name));
    };
    const auto one = variant("one", {{2, 101}, {3, 102}, {kAbove + 9, 103}});
    const auto two = variant("two", {{3, 112}, {700, 113}});
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one->ownBytes() == 3 * kPageBytes);
    const LinearMemory memory;
    const auto space = world.space(memory);
    space->mapImage(one);
    for (int round = 0; round < 3; ++round) {
      memory.page(5) = std::byte{99};  // of the component that ran
      memory[kMemoryBytes - 1] = std::byte{99};
      const auto& next = round % 2 == 0 ? two : one;
      space->mapImage(next);
      CHECK(equalsImage(memory, *next));
      // A sandbox that stood ready, and ran nothing of the guest since: what is private is known.
      memory.page(11) = std::byte{99};
      (void)space->reset();
      space->enter();
      space->mapImage(next == two ? one : two);
      CHECK(equalsImage(memory, next == two ? *one : *two));
      space->mapImage(next);
      CHECK(equalsImage(memory, *next));
      // The same, said by who knows: over pages that both, one or none of the two have, private or not.
      memory.page(3) = std::byte{99};
      memory.page(12) = std::byte{99};
      memory[kMemoryBytes - 1] = std::byte{99};
      (void)space->reset();
      for (const auto& to : {next == two ? one : two, world.image, next}) {
        space->mapImage(to, true);
        CHECK(equalsImage(memory, *to));
        space->enter();
      }
      memory.page(3) = std::byte{99};
      memory.page(700) = std::byte{99};
      (void)space->reset();
      CHECK(equalsImage(memory, *next));
      // So much that pages are let go of: what is under them is the other application's file.
      std::memset(&memory.page(kAbove), 0x77, 9 * kMiB);
      (void)space->reset();
      CHECK(equalsImage(memory, *next));
    }
  }

  TEST_CASE("a space without an image writes a delta over nothing, and cannot be reset") {
    World world;
    const LinearMemory memory;
    const auto space = world.space(memory);
    memory.page(3) = std::byte{1};
    memory.page(9) = std::byte{0};
    CHECK(space->dirtyPages() == std::vector<std::uint32_t>{3});
    CHECK(errorOf([&] { (void)space->reset(); }) == "BadArgument");
  }

  TEST_CASE("mapping another image replaces the first and what was written to it") {
    World world;
    writeSparse(world.folder.file("other"), kMiB, {{0, 50}});
    const auto other = Image::open(world.folder.file("other"), std::nullopt);
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    memory.page(700) = std::byte{99};
    memory.page(kAbove) = std::byte{99};
    space->mapImage(other);
    CHECK(memory.page(0) == std::byte{50});
    CHECK(isFilled(memory.base() + kMiB, kMemoryBytes - kMiB, 0));
    CHECK(world.image.use_count() == 1);
    memory.page(1000) = std::byte{1};  // past the image, below the window
    memory.page(kAbove) = std::byte{1};
    const auto summary = space->reset();
    CHECK(summary.dirty_pages == 0);
    CHECK(summary.tail_bytes >= 2 * kPageBytes);
    CHECK(isFilled(memory.base() + kMiB, kMemoryBytes - kMiB, 0));
  }

  TEST_CASE("arguments are checked") {
    World world;
    const LinearMemory memory;
    const auto make = [&](std::byte* base, std::size_t bytes, Space::Options options) {
      return errorOf([&] { Space(base, bytes, options, world.store, PageScanner::ofProcess()); });
    };
    CHECK(make(memory.base(), kMemoryBytes, {kWindowOffset, kWindowBytes}) == "no error");
    CHECK(make(memory.base() + 1, kMemoryBytes, {kWindowOffset, kWindowBytes}) == "BadArgument");
    CHECK(make(nullptr, 0, {0, 0}) == "BadArgument");
    CHECK(make(memory.base(), kMemoryBytes + 1, {kWindowOffset, kWindowBytes}) == "BadArgument");
    CHECK(make(memory.base(), kMemoryBytes, {kWindowOffset + kPageBytes, kWindowBytes}) == "BadArgument");
    CHECK(make(memory.base(), kMemoryBytes, {kWindowOffset, kWindowBytes + kPageBytes}) == "BadArgument");
    CHECK(make(memory.base(), kMemoryBytes, {kWindowOffset, 4096 * kMiB}) == "BadArgument");

    Space small(memory.base(), kMiB, {kWindowOffset, kWindowBytes}, world.store, PageScanner::ofProcess());
    CHECK(errorOf([&] { small.mapImage(world.image); }) == "BadArgument");
    const RegionId region = world.store.allocate(world.account, kPageBytes);
    CHECK(errorOf([&] { small.attach(region, true); }) == "BadArgument");
    CHECK(errorOf([&] { small.rebind(memory.base() + kMiB, kMemoryBytes); }) == "BaseMoved");
    CHECK(errorOf([&] { small.rebind(memory.base(), 0); }) == "BadArgument");
    small.rebind(memory.base(), kMemoryBytes);
    small.mapImage(world.image);
  }
}

TEST_SUITE("attachments") {
  TEST_CASE("writers and readers in several sandboxes see one physical page") {
    World world;
    const LinearMemory memory_a;
    const LinearMemory memory_b;
    const auto a = world.mapped(memory_a);
    const auto b = world.mapped(memory_b);
    const RegionId region = world.store.allocate(world.account, 3 * kPageBytes);
    const std::size_t in_a = a->attach(region, true);
    const std::size_t in_b = b->attach(region, false);
    memory_a[in_a + 5000] = std::byte{1};
    CHECK(memory_b[in_b + 5000] == std::byte{1});
    memory_a[in_a + 5000] = std::byte{2};
    CHECK(memory_b[in_b + 5000] == std::byte{2});
    const LinearMemory memory_c;
    const auto c = world.mapped(memory_c);
    const std::size_t in_c = c->attach(region, true);
    memory_c[in_c + 5000] = std::byte{3};
    CHECK(memory_a[in_a + 5000] == std::byte{3});
    CHECK(memory_b[in_b + 5000] == std::byte{3});
    CHECK(world.store.lease(region).extent().data()[5000] == std::byte{3});
    CHECK(b->strayWrites().empty());
    CHECK(world.store.info(region).references == 4);
  }

  TEST_CASE("a write through a reader's mapping stays with it and is found") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId clean = world.store.allocate(world.account, 2 * kPageBytes);
    const RegionId dirtied = world.store.allocate(world.account, 2 * kPageBytes);
    const std::size_t clean_at = space->attach(clean, false);
    const std::size_t dirtied_at = space->attach(dirtied, false);
    CHECK(memory[clean_at] == std::byte{0});
    memory[dirtied_at + kPageBytes] = std::byte{1};
    CHECK(space->strayWrites() == std::vector<RegionId>{dirtied});
    CHECK(world.store.lease(dirtied).extent().data()[kPageBytes] == std::byte{0});
    CHECK(errorOf([&] { space->attach(dirtied, true); }) == "StrayWrite");
    space->detach(clean);
    space->detach(dirtied);
    CHECK(space->strayWrites() == std::vector<RegionId>{dirtied});
    (void)space->reset();
    CHECK(space->strayWrites().empty());
  }

  TEST_CASE("a write through a reader's mapping is found after enter() too, the first and a later one") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kMiB);
    for (int round = 0; round < 3; ++round) {
      space->enter();
      const std::size_t offset = space->attach(region, false, true);
      CHECK(space->strayWrites().empty());
      memory[offset + 5 * kPageBytes] = std::byte{1};
      CHECK(space->strayWrites() == std::vector<RegionId>{region});
      memory[offset + 5 * kPageBytes + 1] = std::byte{1};  // no fault any more
      CHECK(space->strayWrites() == std::vector<RegionId>{region});
      space->detach(region);
      CHECK(space->strayWrites() == std::vector<RegionId>{region});
      (void)space->reset();
    }
    world.store.release(region);
  }

  TEST_CASE("a reader's mapping becomes writable in place") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kPageBytes);
    const std::size_t at = space->attach(region, false);
    CHECK(space->attach(region, true) == at);
    memory[at] = std::byte{7};
    CHECK(world.store.lease(region).extent().data()[0] == std::byte{7});
    CHECK(space->strayWrites().empty());
    CHECK(space->attach(region, false) == at);
    CHECK(space->attachments().at(0).writable);
  }

  TEST_CASE("attaching counts, and the last detach leaves zeros") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kPageBytes);
    const std::size_t at = space->attach(region, true);
    CHECK(space->attach(region, true) == at);
    CHECK(world.store.info(region).references == 2);
    memory[at] = std::byte{7};
    CHECK_FALSE(world.store.release(region));  // the attachment still has it
    space->detach(region);
    CHECK(memory[at] == std::byte{7});
    CHECK(space->attachments().size() == 1);
    space->detach(region);
    CHECK(memory[at] == std::byte{0});
    CHECK(errorOf([&] { (void)world.store.info(region); }) == "BadRegion");
    CHECK(errorOf([&] { space->detach(region); }) == "BadRegion");
    CHECK(errorOf([&] { space->attach(region, false); }) == "BadRegion");
    CHECK(world.store.stats().pool.used_bytes == 0);
  }

  TEST_CASE("an offset is not reused until the window is used up") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kMiB);
    std::size_t expected = kWindowOffset;
    for (std::size_t round = 0; round < 16; ++round, expected += kMiB) {
      CHECK(space->attach(region, true) == expected);
      space->detach(region);
    }
    CHECK(space->attach(region, true) == kWindowOffset);
  }

  TEST_CASE("a full window is an error that says how much is free") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId most = world.store.allocate(world.account, 13 * kMiB);
    const RegionId more = world.store.allocate(world.account, 4 * kMiB);
    space->attach(most, false);
    const auto too_much = [&] { space->attach(more, false); };
    CHECK(errorOf(too_much) == "WindowFull");
    CHECK(errorValueOf(too_much, "requested_bytes") == 4 * kMiB);
    CHECK(errorValueOf(too_much, "free_bytes") == 3 * kMiB);
    CHECK(world.store.info(more).references == 1);  // a refused attach holds nothing
    space->detach(most);
    space->attach(more, false);
  }

  TEST_CASE("large regions lie so that huge pages can be used") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId small = world.store.allocate(world.account, kPageBytes);
    const RegionId large = world.store.allocate(world.account, 2 * kMiB + kPageBytes);
    space->attach(small, false);
    const std::size_t at = space->attach(large, true);
    const auto address = reinterpret_cast<std::uintptr_t>(memory.base() + at);
    CHECK(address % kHugePageBytes == world.store.physical(large).offset % kHugePageBytes);
  }

  TEST_CASE("reset and another image detach everything") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kPageBytes);
    const std::size_t at = space->attach(region, true);
    memory[at] = std::byte{7};
    SUBCASE("reset") { CHECK(space->reset().regions_detached == 1); }
    SUBCASE("mapImage") { space->mapImage(world.image); }
    CHECK(space->attachments().empty());
    CHECK(isFilled(memory.base() + kWindowOffset, kWindowBytes, 0));
    CHECK(world.store.info(region).references == 1);
    CHECK(world.store.lease(region).extent().data()[0] == std::byte{7});
    CHECK(space->attach(region, true) == kWindowOffset);
  }

  TEST_CASE("a region of a closed account stays mapped where it is, and its pages with it") {
    World world;
    const LinearMemory memory;
    const auto space = world.mapped(memory);
    const AccountId run = world.store.openAccount(kMiB);
    const RegionId region = world.store.allocate(run, kPageBytes);
    const std::size_t at = space->attach(region, true);
    CHECK(world.store.closeAccount(run) == 1);
    memory[at] = std::byte{7};
    const RegionId next = world.store.allocate(world.account, kPageBytes);
    CHECK(isFilled(world.store.lease(next).extent().data(), kPageBytes, 0));
    CHECK(memory[at] == std::byte{7});
    space->detach(region);
    CHECK(memory[at] == std::byte{0});
  }

  TEST_CASE("close leaves zeros and gives everything up; so does destruction, without touching the memory") {
    World world;
    const LinearMemory memory;
    auto space = world.mapped(memory);
    const RegionId region = world.store.allocate(world.account, kPageBytes);
    const std::size_t at = space->attach(region, true);
    memory[at] = std::byte{7};
    SUBCASE("close") {
      space->close();
      CHECK(isFilled(memory.base(), kMemoryBytes, 0));
      space->close();
      CHECK(errorOf([&] { (void)space->reset(); }) == "SpaceClosed");
      CHECK(errorOf([&] { space->attach(region, true); }) == "SpaceClosed");
      CHECK(errorOf([&] { (void)space->dirtyPages(); }) == "SpaceClosed");
    }
    SUBCASE("destruction") {
      space.reset();
      CHECK(memory[at] == std::byte{7});
    }
    SUBCASE("abandonment") {
      space->abandon();
      CHECK(memory[at] == std::byte{7});
      CHECK(errorOf([&] { space->mapImage(world.image); }) == "SpaceClosed");
    }
    CHECK(world.store.info(region).references == 1);
    CHECK(world.image.use_count() == 1);
  }

  TEST_CASE("sandboxes in many threads share an image and hand regions to each other") {
    World world;
    const RegionId shared = world.store.allocate(world.account, 4 * kPageBytes);
    std::atomic<int> failures = 0;
    const auto work = [&](std::size_t index) {
      const LinearMemory memory;
      const auto space = world.mapped(memory);
      for (int round = 0; round < 50; ++round) {
        const std::size_t at = space->attach(shared, true);
        memory[at + index * kPageBytes] = std::byte{1};  // each its own page
        const RegionId own = world.store.allocate(world.account, kMiB / 2);
        const std::size_t own_at = space->attach(own, true);
        if (memory[own_at] != std::byte{0} || memory[own_at + kMiB / 2 - 1] != std::byte{0}) ++failures;
        memory[own_at] = std::byte{1};
        memory[own_at + kMiB / 2 - 1] = std::byte{1};
        world.store.release(own);
        memory.page(index) = std::byte{77};
        if (space->reset().regions_detached != 2) ++failures;
        if (memory.page(index) != world.image->data()[index * kPageBytes]) ++failures;
      }
    };
    {
      std::vector<std::jthread> threads;
      for (std::size_t index = 0; index < 4; ++index) threads.emplace_back(work, index);
    }
    CHECK(failures == 0);
    CHECK(world.store.stats().regions == 1);
    CHECK(world.store.info(shared).references == 1);
  }
}
