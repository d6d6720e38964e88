#include "memory/window.h"

#include <doctest/doctest.h>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

TEST_SUITE("window") {
  TEST_CASE("offsets go upward and are not reused until the window is used up, then first fit") {
    Window window(10);
    CHECK(window.allocate(4, {}) == 0);
    CHECK(window.allocate(4, {}) == 4);
    window.free(0, 4);
    CHECK(window.allocate(2, {}) == 8);
    CHECK(window.allocate(3, {}) == 0);
    CHECK(window.allocate(1, {}) == 3);
    CHECK(errorOf([&] { window.allocate(1, {}); }) == "WindowFull");
  }

  TEST_CASE("a request that does not fit uses nothing up") {
    Window window(10);
    window.allocate(4, {});
    window.free(0, 4);
    const auto too_much = [&] { window.allocate(11, {}); };
    CHECK(errorOf(too_much) == "WindowFull");
    CHECK(errorValueOf(too_much, "free_bytes") == 10);
    CHECK(errorValueOf(too_much, "requested_bytes") == 11);
    CHECK(window.allocate(6, {}) == 4);
  }

  TEST_CASE("a freed range and the part never used are one") {
    Window window(10);
    window.allocate(4, {});
    window.allocate(4, {});
    window.free(4, 4);
    CHECK(window.allocate(6, {}) == 4);
  }

  TEST_CASE("what an alignment skips can be used later") {
    Window window(16);
    window.allocate(1, {});
    CHECK(window.allocate(4, {8, 5}) == 5);
    CHECK(window.allocate(4, {8, 1}) == 9);
    CHECK(window.allocate(3, {}) == 13);
    CHECK(window.allocate(4, {}) == 1);
  }
}
