// Which part of the window each region gets. Pure bookkeeping: it touches no memory.
#pragma once

#include <cstddef>

#include "memory/free_ranges.h"

namespace sandloom {

// Offsets are given out upward and not reused until the window is used up: an address that a program kept past its lease
// then reads zeros, and not another region, for as long as possible.
class Window {
 public:
  explicit Window(std::size_t bytes) : bytes_(bytes) {}

  std::size_t bytes() const { return bytes_; }
  // Everything from here on was never given out.
  std::size_t usedBytes() const { return next_; }

  // An offset in the window. Errors: WindowFull.
  std::size_t allocate(std::size_t bytes, Placement placement);
  void free(std::size_t offset, std::size_t bytes) { freed_.add(offset, bytes); }
  void reset();

 private:
  std::size_t bytes_;
  std::size_t next_ = 0;
  FreeRanges freed_;
};

}  // namespace sandloom
