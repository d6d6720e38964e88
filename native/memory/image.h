// The heap image of a booted interpreter: a sealed memfd, and one read-only mapping of it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "base/mapping.h"

namespace sandloom {

class Image {
 public:
  // Copies the data of the sparse file `base_path` into a memfd, lays the delta over it, seals it against every change.
  // Its length is that of the base, rounded up to whole pages, or what the delta says. Takes tens of milliseconds.
  // Errors: SystemError, BadImage.
  static std::shared_ptr<const Image> open(const std::string& base_path, const std::optional<std::string>& delta_path);

  int fd() const { return file_.get(); }
  std::size_t bytes() const { return mapping_.bytes(); }
  // What a page is copied back from.
  const std::byte* data() const { return mapping_.data(); }

 private:
  Image(FileDescriptor file, Mapping mapping) : file_(std::move(file)), mapping_(std::move(mapping)) {}

  FileDescriptor file_;
  Mapping mapping_;
};

}  // namespace sandloom
