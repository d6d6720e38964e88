#include "memory/slab.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <cstring>

#include "base/units.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace sandloom {

Slab::Slab(std::uint64_t id, std::size_t bytes) : id_(id), file_(FileDescriptor::memfd("sandloom-slab", bytes)) {
  // A window must never see the file end before its mapping does: that would be SIGBUS.
  file_.addSeals(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  mapping_ = Mapping::file(file_.get(), bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kHugePageBytes);
  ::madvise(mapping_.data(), bytes, MADV_HUGEPAGE);
  cold.add(0, bytes);
}

void Slab::populate(std::size_t offset, std::size_t bytes) const {
  ::madvise(data(offset), bytes, MADV_POPULATE_WRITE);
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
