#include "memory/slab.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/units.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

namespace sandloom {

Slab::Slab(std::uint64_t id, std::size_t bytes) : id_(id), file_(FileDescriptor::memfd("sandloom-slab", bytes)) {
  // A window must never see the file end before its mapping does: that would be SIGBUS.
  file_.addSeals(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  mapping_ = Mapping::file(file_.get(), bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kHugePageBytes);
  cold.add(0, bytes);
}

// Huge pages, where whole ones lie in the range: one resident page in each, then MADV_COLLAPSE, which works whatever
// /sys/kernel/mm/transparent_hugepage/shmem_enabled says. Measured for 256 MiB, Linux 6.18, 2 cores:
//                               4 KiB pages    collapsed
//   populate                        158 ms     15-25 ms
//   attach, read every page          20 ms       0.9 ms   MAP_SHARED and MAP_PRIVATE
//   attach, write every page         82 ms       0.9 ms   MAP_SHARED
//   punch                            50 ms       0.7 ms
void Slab::populate(std::size_t offset, std::size_t bytes) const {
  const std::size_t end = offset + bytes;
  const std::size_t first_huge = std::min(roundUp(offset, kHugePageBytes), end);
  const std::size_t last_huge = std::max(roundDown(end, kHugePageBytes), first_huge);
  makeResident(offset, first_huge);
  for (std::size_t block = first_huge; block < last_huge; block += kHugePageBytes) *data(block) = std::byte{0};
  if (first_huge < last_huge && ::madvise(data(first_huge), last_huge - first_huge, MADV_COLLAPSE) != 0)
    makeResident(first_huge, last_huge);  // an older kernel, or no huge page to be had
  makeResident(last_huge, end);
}

void Slab::makeResident(std::size_t start, std::size_t end) const {
  if (start < end) ::madvise(data(start), end - start, MADV_POPULATE_WRITE);
}

void Slab::zero(std::size_t offset, std::size_t bytes) const {
  std::memset(data(offset), 0, bytes);
}

void Slab::punch(std::size_t offset, std::size_t bytes) const {
  const int failed = ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                                 static_cast<off_t>(bytes));
  if (failed != 0) zero(offset, bytes);
}

}  // namespace sandloom
