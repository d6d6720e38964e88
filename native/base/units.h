// Sizes that the kernel and WebAssembly fix, and the arithmetic on them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sandloom {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

// x86-64 and the only arm64 configuration that is supported use 4 KiB pages; `capabilities` refuses others.
inline constexpr std::size_t kPageBytes = 4 * kKiB;
inline constexpr std::size_t kHugePageBytes = 2 * kMiB;
inline constexpr std::size_t kWasmPageBytes = 64 * kKiB;

constexpr std::size_t roundDown(std::size_t value, std::size_t unit) {
  return value - value % unit;
}

constexpr std::size_t roundUp(std::size_t value, std::size_t unit) {
  return roundDown(value + unit - 1, unit);
}

}  // namespace sandloom
