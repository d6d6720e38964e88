// A file that is written under another name and then takes its own at once.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace sandloom {

// Removes a half-written file unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target)
      : path_(target + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter_++)),
        file_(FileDescriptor::open(path_, O_WRONLY | O_CREAT | O_EXCL, 0644)) {}
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const FileDescriptor& file() const { return file_; }
  void renameTo(const std::string& target) {
    if (std::rename(path_.c_str(), target.c_str()) != 0) throw Error::system("cannot rename to " + target);
    path_.clear();
  }

 private:
  inline static std::atomic<unsigned> counter_ = 0;
  std::string path_;
  FileDescriptor file_;
};

}  // namespace sandloom
