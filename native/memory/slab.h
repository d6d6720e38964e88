// A memfd of which regions are ranges, and the store's own mapping of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/file_descriptor.h"
#include "base/mapping.h"
#include "memory/free_ranges.h"

namespace sandloom {

class Slab {
 public:
  // `bytes` is a multiple of 2 MiB. Nothing is resident yet. Errors: SystemError.
  Slab(std::uint64_t id, std::size_t bytes);

  std::uint64_t id() const { return id_; }
  int fd() const { return file_.get(); }
  std::size_t bytes() const { return mapping_.bytes(); }
  std::byte* data(std::size_t offset) const { return mapping_.data() + offset; }

  // Makes the range, which is free and so holds zeros, resident. Best effort: a page that is not is faulted in later.
  void populate(std::size_t offset, std::size_t bytes) const;
  // Zeroes the range and keeps its pages.
  void zero(std::size_t offset, std::size_t bytes) const;
  // Gives the range's pages back to the kernel; it reads as zeros. Zeroes it if that fails.
  void punch(std::size_t offset, std::size_t bytes) const;

  // Free bytes, all zero. Guarded by the pool's mutex.
  FreeRanges ready;  // resident
  FreeRanges cold;   // not resident

 private:
  void makeResident(std::size_t start, std::size_t end) const;

  std::uint64_t id_;
  FileDescriptor file_;
  Mapping mapping_;
};

}  // namespace sandloom
