#include "memory/free_ranges.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using sandloom::FreeRanges;

TEST_SUITE("free ranges") {
  TEST_CASE("neighbours become one range") {
    FreeRanges ranges;
    ranges.add(0, 10);
    ranges.add(20, 10);
    ranges.add(10, 10);
    CHECK(ranges.ranges().size() == 1);
    CHECK(ranges.bytes() == 30);
    CHECK(ranges.takeBestFit(30, {}) == 0);
    CHECK(ranges.empty());
  }

  TEST_CASE("best fit takes the smallest that is long enough, first fit the lowest") {
    FreeRanges ranges;
    ranges.add(0, 100);
    ranges.add(200, 10);
    CHECK(ranges.takeBestFit(8, {}) == 200);
    CHECK(ranges.takeFirstFit(8, {}) == 0);
    CHECK_FALSE(ranges.takeBestFit(101, {}));
  }

  TEST_CASE("a placement fixes the start modulo its alignment") {
    FreeRanges ranges;
    ranges.add(5, 100);
    CHECK(ranges.takeBestFit(10, {16, 3}) == 19);
    CHECK(ranges.bytes() == 90);
    CHECK(ranges.ranges().size() == 2);
    CHECK_FALSE(ranges.takeFirstFit(90, {}));
  }

  TEST_CASE("remove takes out what is free of a range, and nothing else") {
    FreeRanges ranges;
    ranges.add(0, 10);
    ranges.add(20, 10);
    ranges.remove(5, 20);
    CHECK(ranges.bytes() == 10);
    CHECK(ranges.takeFirstFit(5, {}) == 0);
    CHECK(ranges.takeFirstFit(5, {}) == 25);
  }

  TEST_CASE("random takes and adds never give a byte out twice, nor lose one") {
    constexpr std::size_t kBytes = 4096;
    std::mt19937 random(7);
    FreeRanges ranges;
    ranges.add(0, kBytes);
    std::vector<bool> taken(kBytes, false);
    std::vector<std::pair<std::size_t, std::size_t>> held;
    for (int step = 0; step < 20000; ++step) {
      if (random() % 2 == 0) {
        const std::size_t bytes = 1 + random() % 64;
        const sandloom::Placement placement = {std::size_t{1} << (random() % 5), 0};
        const auto start = random() % 2 == 0 ? ranges.takeBestFit(bytes, placement) : ranges.takeFirstFit(bytes, placement);
        if (!start) continue;
        REQUIRE(*start % placement.alignment == 0);
        for (std::size_t at = *start; at < *start + bytes; ++at) {
          REQUIRE_FALSE(taken[at]);
          taken[at] = true;
        }
        held.emplace_back(*start, bytes);
      } else if (!held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        const auto [start, bytes] = held.back();
        held.pop_back();
        ranges.add(start, bytes);
        for (std::size_t at = start; at < start + bytes; ++at) taken[at] = false;
      }
    }
    for (const auto& [start, bytes] : held) ranges.add(start, bytes);
    CHECK(ranges.bytes() == kBytes);
    CHECK(ranges.ranges().size() == 1);
  }
}
