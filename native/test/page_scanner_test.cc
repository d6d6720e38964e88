#include "memory/page_scanner.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <random>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

TEST_SUITE("page scanner") {
  TEST_CASE("both ways find the same pages: the written ones of a private mapping") {
    const PageScanner by_pagemap(PageScanner::Method::kPagemap);
    const PageScanner& by_default = PageScanner::ofProcess();  // the ioctl, where the kernel has it
    constexpr std::size_t kPages = 6000;
    const FileDescriptor file = FileDescriptor::memfd("scanned", kPages * kPageBytes);
    file.writeAt(std::vector<std::byte>(kPages * kPageBytes, std::byte{1}), 0);
    const Mapping mapping = Mapping::file(file.get(), kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, kPageBytes);
    std::size_t sum = 0;
    for (std::size_t page = 0; page < kPages; page += 2) sum += static_cast<std::size_t>(mapping.data()[page * kPageBytes]);
    CHECK(sum == kPages / 2);
    CHECK(by_default.privateBytes(mapping.data(), mapping.bytes()) == 0);

    std::mt19937 random(3);
    std::vector<bool> dirty(kPages, false);
    for (int write = 0; write < 2000; ++write) dirty[random() % kPages] = true;
    for (std::size_t page = 0; page < kPages; ++page)
      if (dirty[page]) mapping.data()[page * kPageBytes] = std::byte{2};

    for (const PageScanner* scanner : {&by_pagemap, &by_default}) {
      std::vector<PageRun> runs;
      scanner->privateRuns(mapping.data(), mapping.bytes(), runs);
      std::vector<bool> found(kPages, false);
      const std::byte* previous_end = nullptr;
      for (const PageRun& run : runs) {
        CHECK(run.start > previous_end);
        previous_end = run.start + run.bytes;
        for (std::size_t at = 0; at < run.bytes; at += kPageBytes)
          found[static_cast<std::size_t>(run.start + at - mapping.data()) / kPageBytes] = true;
      }
      CHECK(found == dirty);
    }
  }

  TEST_CASE("shared mappings have no private pages, anonymous ones have what was touched") {
    for (const auto method : {PageScanner::Method::kPagemap, PageScanner::ofProcess().method()}) {
      const PageScanner scanner(method);
      const FileDescriptor file = FileDescriptor::memfd("shared", kMiB);
      const Mapping shared = Mapping::file(file.get(), kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, kPageBytes);
      std::memset(shared.data(), 1, kMiB);
      CHECK(scanner.privateBytes(shared.data(), kMiB) == 0);
      const Mapping anonymous = Mapping::anonymous(kMiB, kPageBytes);
      CHECK(scanner.privateBytes(anonymous.data(), kMiB) == 0);
      anonymous.data()[17 * kPageBytes] = std::byte{1};
      CHECK(scanner.privateBytes(anonymous.data(), kMiB) == kPageBytes);
      CHECK(scanner.privateBytes(anonymous.data(), 0) == 0);
    }
  }

  TEST_CASE("a range may cover several mappings and a hole between them") {
    Mapping reserved = Mapping::anonymous(kMiB, kPageBytes);
    std::memset(reserved.data(), 1, kMiB);
    REQUIRE(::mmap(reserved.data() + 64 * kKiB, 64 * kKiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    REQUIRE(::munmap(reserved.data() + 128 * kKiB, 64 * kKiB) == 0);
    for (const auto method : {PageScanner::Method::kPagemap, PageScanner::ofProcess().method()}) {
      std::vector<PageRun> runs;
      PageScanner(method).privateRuns(reserved.data(), kMiB, runs);
      REQUIRE(runs.size() == 2);
      CHECK(runs[0].bytes == 64 * kKiB);
      CHECK(runs[1].start == reserved.data() + 192 * kKiB);
      CHECK(runs[1].bytes == kMiB - 192 * kKiB);
    }
  }
}
