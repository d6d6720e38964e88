#include "base/mapping.h"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "base/error.h"
#include "base/units.h"

namespace sandloom {
namespace {

// Reserves more than is needed and trims, because mmap has no alignment argument.
std::byte* reserve(std::size_t bytes, std::size_t alignment) {
  const std::size_t reserved = bytes + alignment;
  void* start = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) throw Error::system("mmap (reserve)");
  auto* first = static_cast<std::byte*>(start);
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const std::size_t before = roundUp(address, alignment) - address;
  if (before > 0) ::munmap(first, before);
  ::munmap(first + before + bytes, reserved - before - bytes);
  return first + before;
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping Mapping::file(int fd, std::size_t bytes, int protection, int flags, std::size_t alignment) {
  if (bytes == 0) return {};
  Mapping mapping(reserve(bytes, alignment), bytes);
  if (::mmap(mapping.data_, bytes, protection, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
    throw Error::system("mmap of a file");
  return mapping;
}

Mapping Mapping::anonymous(std::size_t bytes, std::size_t alignment) {
  return file(-1, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, alignment);
}

}  // namespace sandloom
