// A mapping that the native code owns (as opposed to ranges of a linear memory, which belong to V8).
#pragma once

#include <cstddef>
#include <span>

namespace sandloom {

class Mapping {
 public:
  Mapping() = default;
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // Maps the first `bytes` of `fd`, which must be at least that long: past a file's end lies SIGBUS.
  // `alignment` is a power of two; the start address is a multiple of it. Errors: SystemError.
  static Mapping file(int fd, std::size_t bytes, int protection, int flags, std::size_t alignment);
  // Private zero pages.
  static Mapping anonymous(std::size_t bytes, std::size_t alignment);

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Mapping(std::byte* data, std::size_t bytes) : data_(data), bytes_(bytes) {}

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace sandloom
