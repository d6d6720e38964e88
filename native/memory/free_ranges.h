// The free parts of a range of bytes, coalesced. Pure bookkeeping: it touches no memory.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace sandloom {

// A start is wanted at `phase` modulo `alignment` (a power of two).
struct Placement {
  std::size_t alignment = 1;
  std::size_t phase = 0;

  std::size_t next(std::size_t offset) const { return offset + ((phase - offset) & (alignment - 1)); }
};

class FreeRanges {
 public:
  // [offset, offset + bytes) becomes free; it must not be free already.
  void add(std::size_t offset, std::size_t bytes);
  // The smallest free range that fits; its rest stays free.
  std::optional<std::size_t> takeBestFit(std::size_t bytes, Placement placement);
  // The lowest one that fits.
  std::optional<std::size_t> takeFirstFit(std::size_t bytes, Placement placement);
  // Removes what is free inside [offset, offset + bytes).
  void remove(std::size_t offset, std::size_t bytes);
  // Takes the highest `bytes` (or less) of the last range; nothing when empty.
  std::optional<std::pair<std::size_t, std::size_t>> takeLast(std::size_t bytes);
  void clear();

  bool empty() const { return by_offset_.empty(); }
  std::size_t bytes() const { return bytes_; }
  const std::map<std::size_t, std::size_t>& ranges() const { return by_offset_; }

 private:
  using Iterator = std::map<std::size_t, std::size_t>::iterator;

  void insert(std::size_t offset, std::size_t bytes);
  void erase(Iterator range);
  std::size_t carve(Iterator range, std::size_t start, std::size_t bytes);

  std::map<std::size_t, std::size_t> by_offset_;
  std::set<std::pair<std::size_t, std::size_t>> by_size_;  // (bytes, offset)
  std::size_t bytes_ = 0;
};

}  // namespace sandloom
