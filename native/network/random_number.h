// Numbers that nobody else draws: generations, clients, keys.
#pragma once

#include <cstdint>
#include <random>

namespace sandloom {

inline std::uint64_t randomNumber() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

}  // namespace sandloom
