// An owned file descriptor.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sandloom {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  // Opens `path` close-on-exec. Errors: SystemError.
  static FileDescriptor open(const std::string& path, int flags, unsigned mode = 0);
  // A sealable memfd of `bytes` zero bytes; all of it is a hole. `name` shows in /proc/self/maps. Errors: SystemError.
  static FileDescriptor memfd(const char* name, std::size_t bytes);

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  std::size_t bytes() const;
  void addSeals(int seals) const;

  // Whole transfers at an offset: a short one is an error.
  void readAt(std::span<std::byte> out, std::size_t offset) const;
  void writeAt(std::span<const std::byte> in, std::size_t offset) const;

 private:
  int fd_ = -1;
};

}  // namespace sandloom
