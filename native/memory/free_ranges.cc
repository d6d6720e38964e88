#include "memory/free_ranges.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace sandloom {

void FreeRanges::add(std::size_t offset, std::size_t bytes) {
  if (bytes == 0) return;
  std::size_t end = offset + bytes;
  auto next = by_offset_.lower_bound(offset);
  assert(next == by_offset_.end() || next->first >= end);
  if (next != by_offset_.end() && next->first == end) {
    end += next->second;
    erase(next);
  }
  next = by_offset_.lower_bound(offset);
  if (next != by_offset_.begin()) {
    const auto previous = std::prev(next);
    assert(previous->first + previous->second <= offset);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      erase(previous);
    }
  }
  insert(offset, end - offset);
}

std::optional<std::size_t> FreeRanges::takeBestFit(std::size_t bytes, Placement placement) {
  for (auto candidate = by_size_.lower_bound({bytes, 0}); candidate != by_size_.end(); ++candidate) {
    const auto [size, offset] = *candidate;
    const std::size_t start = placement.next(offset);
    if (start + bytes <= offset + size) return carve(by_offset_.find(offset), start, bytes);
  }
  return std::nullopt;
}

std::optional<std::size_t> FreeRanges::takeFirstFit(std::size_t bytes, Placement placement) {
  for (auto range = by_offset_.begin(); range != by_offset_.end(); ++range) {
    const std::size_t start = placement.next(range->first);
    if (start + bytes <= range->first + range->second) return carve(range, start, bytes);
  }
  return std::nullopt;
}

void FreeRanges::remove(std::size_t offset, std::size_t bytes) {
  const std::size_t end = offset + bytes;
  auto range = by_offset_.upper_bound(offset);
  if (range != by_offset_.begin()) range = std::prev(range);
  while (range != by_offset_.end() && range->first < end) {
    const std::size_t range_end = range->first + range->second;
    const std::size_t start = std::max(range->first, offset);
    const std::size_t stop = std::min(range_end, end);
    const auto following = std::next(range);
    if (start < stop) carve(range, start, stop - start);
    range = following;
  }
}

std::optional<std::pair<std::size_t, std::size_t>> FreeRanges::takeLast(std::size_t bytes) {
  if (by_offset_.empty()) return std::nullopt;
  const auto last = std::prev(by_offset_.end());
  const std::size_t taken = std::min(bytes, last->second);
  const std::size_t start = last->first + last->second - taken;
  carve(last, start, taken);
  return std::pair(start, taken);
}

void FreeRanges::clear() {
  by_offset_.clear();
  by_size_.clear();
  bytes_ = 0;
}

void FreeRanges::insert(std::size_t offset, std::size_t bytes) {
  by_offset_.emplace(offset, bytes);
  by_size_.emplace(bytes, offset);
  bytes_ += bytes;
}

void FreeRanges::erase(Iterator range) {
  bytes_ -= range->second;
  by_size_.erase({range->second, range->first});
  by_offset_.erase(range);
}

std::size_t FreeRanges::carve(Iterator range, std::size_t start, std::size_t bytes) {
  const auto [offset, size] = *range;
  erase(range);
  if (start > offset) insert(offset, start - offset);
  if (start + bytes < offset + size) insert(start + bytes, offset + size - start - bytes);
  return start;
}

}  // namespace sandloom
