// What the kernel says of this process and of itself.
#pragma once

#include <cstddef>
#include <string>

namespace sandloom {

struct ProcessMemory {
  std::size_t pss_bytes;  // resident, shared pages divided by how many processes share them
  std::size_t rss_bytes;
  std::size_t fds;
  std::size_t mappings;
};

// Reads /proc/self; takes a millisecond or more when much is mapped. Errors: SystemError.
ProcessMemory processMemory();

enum class Userfaultfd { kNone, kUserModeOnly, kFull };

struct Capabilities {
  bool pagemap_scan;  // else dirty pages are found through /proc/self/pagemap
  bool pagemap;       // without it nothing here works
  Userfaultfd userfaultfd;
  bool memfd;
  bool shmem_thp;  // huge pages for slabs
  std::string kernel;
};

Capabilities capabilities();

}  // namespace sandloom
