// The heap image of a booted interpreter: a sealed memfd, and one read-only mapping of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  // Where its last page of data ends: zeros follow.
  std::size_t dataBytes() const { return data_bytes_; }
  // What a page is copied back from.
  const std::byte* data() const { return mapping_.data(); }
  // The pages in which it differs from its base, ascending.
  const std::vector<std::uint32_t>& deltaPages() const { return delta_pages_; }
  // Both are the same base, and as long, but for their delta pages.
  bool isVariantOf(const Image& other) const { return base_path_ == other.base_path_ && bytes() == other.bytes(); }

 private:
  Image(std::string base_path, std::vector<std::uint32_t> delta_pages, std::size_t data_bytes, FileDescriptor file,
        Mapping mapping)
      : base_path_(std::move(base_path)),
        delta_pages_(std::move(delta_pages)),
        data_bytes_(data_bytes),
        file_(std::move(file)),
        mapping_(std::move(mapping)) {}

  std::string base_path_;
  std::vector<std::uint32_t> delta_pages_;
  std::size_t data_bytes_;
  FileDescriptor file_;
  Mapping mapping_;
};

}  // namespace sandloom
