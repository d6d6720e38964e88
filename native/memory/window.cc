#include "memory/window.h"

#include "base/error.h"

namespace sandloom {

std::size_t Window::allocate(std::size_t bytes, Placement placement) {
  const std::size_t start = placement.next(next_);
  if (start <= bytes_ && bytes <= bytes_ - start) {
    freed_.add(next_, start - next_);
    next_ = start + bytes;
    return start;
  }
  if (const auto offset = freed_.takeFirstFit(bytes, placement)) return *offset;
  // A freed range may reach up to the part that was never used: only together are they enough.
  FreeRanges all = freed_;
  all.add(next_, bytes_ - next_);
  const std::size_t free_bytes = all.bytes();
  if (const auto offset = all.takeFirstFit(bytes, placement)) {
    freed_ = all;
    next_ = bytes_;
    return *offset;
  }
  throw Error(ErrorCode::kWindowFull, "the window has no free range that is long enough",
              {{"requested_bytes", asValue(bytes)}, {"limit_bytes", asValue(bytes_)}, {"free_bytes", asValue(free_bytes)}});
}

void Window::reset() {
  next_ = 0;
  freed_.clear();
}

}  // namespace sandloom
