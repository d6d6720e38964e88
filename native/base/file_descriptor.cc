#include "base/file_descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"

namespace sandloom {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor FileDescriptor::open(const std::string& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) throw Error::system("cannot open " + path);
  return FileDescriptor(fd);
}

FileDescriptor FileDescriptor::memfd(const char* name, std::size_t bytes) {
  FileDescriptor file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) throw Error::system("memfd_create");
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) throw Error::system("ftruncate of a memfd");
  return file;
}

std::size_t FileDescriptor::bytes() const {
  struct stat status = {};
  if (::fstat(fd_, &status) != 0) throw Error::system("fstat");
  return static_cast<std::size_t>(status.st_size);
}

void FileDescriptor::addSeals(int seals) const {
  if (::fcntl(fd_, F_ADD_SEALS, seals) != 0) throw Error::system("sealing a memfd");
}

void FileDescriptor::readAt(std::span<std::byte> out, std::size_t offset) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error::system("pread");
    if (got == 0) throw Error::system("pread past the end of the file", EIO);
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::size_t>(got);
  }
}

void FileDescriptor::writeAt(std::span<const std::byte> in, std::size_t offset) const {
  while (!in.empty()) {
    const ssize_t put = ::pwrite(fd_, in.data(), in.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw Error::system("pwrite");
    in = in.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::size_t>(put);
  }
}

}  // namespace sandloom
