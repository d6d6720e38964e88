#include "memory/process_memory.h"

#include <doctest/doctest.h>

#include <vector>

#include "test/fixtures.h"

using namespace sandloom;

TEST_SUITE("process") {
  TEST_CASE("memory, descriptors and mappings are counted") {
    const ProcessMemory before = processMemory();
    CHECK(before.rss_bytes > kMiB);
    CHECK(before.pss_bytes <= before.rss_bytes);
    const FileDescriptor file = FileDescriptor::memfd("counted", 8 * kMiB);
    const Mapping mapping = Mapping::file(file.get(), 8 * kMiB, 3, 1, kPageBytes);
    std::memset(mapping.data(), 1, mapping.bytes());
    const ProcessMemory after = processMemory();
    CHECK(after.fds == before.fds + 1);
    CHECK(after.mappings > before.mappings);
    CHECK(after.rss_bytes >= before.rss_bytes + 8 * kMiB);
  }

  TEST_CASE("capabilities of this kernel") {
    const Capabilities found = capabilities();
    CHECK(found.pagemap);
    CHECK(found.memfd);
    CHECK_FALSE(found.kernel.empty());
  }
}
