// Registered memory that transfers go through where the provider can only use such: cut into slots of three sizes, once.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/mapping.h"
#include "base/units.h"

namespace sandloom {

class StagingArena {
 public:
  struct Slot {
    std::byte* data = nullptr;
    std::size_t size_class = 0;
  };

  StagingArena();

  std::span<std::byte> memory() const { return {mapping_.data(), mapping_.bytes()}; }
  // The smallest free slot that holds `bytes`, at most 1 MiB; nothing while all of them are taken.
  std::optional<Slot> take(std::size_t bytes);
  void giveBack(Slot slot) { free_[slot.size_class].push_back(slot.data); }

 private:
  struct SizeClass {
    std::size_t bytes;
    std::size_t count;
  };
  static constexpr std::array<SizeClass, 3> kClasses = {{{4 * kKiB, 256}, {64 * kKiB, 64}, {kMiB, 16}}};

  Mapping mapping_;
  std::array<std::vector<std::byte*>, kClasses.size()> free_;
};

}  // namespace sandloom
