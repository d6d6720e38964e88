// What the tests share: a buffer that stands for a linear memory, sparse files, and the code of an expected error.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/mapping.h"
#include "base/units.h"
#include "memory/image.h"

namespace sandloom::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sandloom-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// A file of `bytes` that is all hole but for the pages given as (page number, fill byte).
inline void writeSparse(const std::string& path, std::size_t bytes,
                        std::initializer_list<std::pair<std::size_t, unsigned char>> pages) {
  const FileDescriptor file = FileDescriptor::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(bytes)) == 0);
  for (const auto& [page, fill] : pages) {
    const std::vector<std::byte> content(std::min(kPageBytes, bytes - page * kPageBytes), std::byte{fill});
    file.writeAt(content, page * kPageBytes);
  }
}

// Changes one byte of a file.
inline void corrupt(const std::string& path, std::size_t offset) {
  const FileDescriptor file = FileDescriptor::open(path, O_RDWR);
  std::byte byte = {};
  file.readAt(std::span(&byte, 1), offset);
  byte ^= std::byte{1};
  file.writeAt(std::span(&byte, 1), offset);
}

inline std::size_t allocatedBytes(int fd) {
  struct stat status = {};
  REQUIRE(::fstat(fd, &status) == 0);
  return static_cast<std::size_t>(status.st_blocks) * 512;
}

// Stands for a WebAssembly memory: reserved at its maximum, so that it grows in place.
class LinearMemory {
 public:
  LinearMemory() : mapping_(Mapping::anonymous(kReservedBytes, kHugePageBytes)) {}

  std::byte* base() const { return mapping_.data(); }
  std::byte& operator[](std::size_t offset) const { return mapping_.data()[offset]; }
  std::byte& page(std::size_t number) const { return mapping_.data()[number * kPageBytes]; }
  std::size_t reservedBytes() const { return mapping_.bytes(); }

 private:
  static constexpr std::size_t kReservedBytes = 64 * kMiB;
  Mapping mapping_;
};

// The code of the error that `call` throws; fails if it throws none.
inline std::string errorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(codeName(error.code()));
  }
  return "no error";
}

// A value of the error that `call` throws.
inline double errorValueOf(const std::function<void()>& call, const std::string& name) {
  try {
    call();
  } catch (const Error& error) {
    for (const auto& [key, value] : error.values())
      if (key == name) return value;
  }
  return -1;
}

inline bool isFilled(const std::byte* start, std::size_t bytes, unsigned char fill) {
  for (std::size_t index = 0; index < bytes; ++index)
    if (start[index] != std::byte{fill}) return false;
  return true;
}

}  // namespace sandloom::test
