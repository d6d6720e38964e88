#include "network/staging_arena.h"

namespace sandloom {

StagingArena::StagingArena() {
  std::size_t bytes = 0;
  for (const SizeClass& size_class : kClasses) bytes += size_class.bytes * size_class.count;
  mapping_ = Mapping::anonymous(bytes, kHugePageBytes);
  std::byte* next = mapping_.data();
  for (std::size_t index = kClasses.size(); index-- > 0;)  // the largest first, so that all are aligned to their size
    for (std::size_t slot = 0; slot < kClasses[index].count; ++slot, next += kClasses[index].bytes) free_[index].push_back(next);
}

std::optional<StagingArena::Slot> StagingArena::take(std::size_t bytes) {
  for (std::size_t index = 0; index < kClasses.size(); ++index) {
    if (kClasses[index].bytes < bytes || free_[index].empty()) continue;
    const Slot slot = {free_[index].back(), index};
    free_[index].pop_back();
    return slot;
  }
  return std::nullopt;
}

}  // namespace sandloom
