// The heap image of a booted interpreter: a sealed memfd and one read-only mapping of it, or the pages in which it differs from one
// that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/mapping.h"
#include "base/units.h"

namespace sandloom {

class Image {
 public:
  // Bytes [start, end) of a file that are no hole.
  struct DataRange {
    std::size_t start;
    std::size_t end;
  };

  // Copies the data of the sparse file `base_path` into a memfd, lays the delta over it, seals it against every change.
  // Its length is that of the base, rounded up to whole pages, or what the delta says. Takes tens of milliseconds.
  // Errors: SystemError, BadImage.
  static std::shared_ptr<const Image> open(const std::string& base_path, const std::optional<std::string>& delta_path);
  // A variant of `base`, which costs its own pages and under a millisecond; nullptr where the delta changes the length or more pages
  // than a sandbox should copy. Errors: SystemError, BadImage.
  static std::shared_ptr<const Image> openVariant(std::shared_ptr<const Image> base, const std::string& delta_path);

  // What is mapped is the file of the base, if this is a variant of one; its own pages are then written over that.
  const Image* base() const { return base_.get(); }
  int fd() const { return file_.get(); }
  // Memory that it holds besides its base.
  std::size_t ownBytes() const { return base_ ? delta_pages_.size() * kPageBytes : dataBytes(); }
  std::size_t bytes() const { return mapping_.bytes(); }
  // Where its last page of data ends: zeros follow.
  std::size_t dataBytes() const;
  // Whether the page that begins there is none of its data, and so holds zeros.
  bool isHole(std::size_t offset) const;
  // Of the base's file.
  std::uint64_t contentHash() const { return content_hash_; }
  // What a page is copied back from.
  const std::byte* data() const { return mapping_.data(); }
  // The pages in which a variant differs from its base, ascending.
  const std::vector<std::uint32_t>& deltaPages() const { return delta_pages_; }

 private:
  Image(std::shared_ptr<const Image> base, std::vector<std::uint32_t> delta_pages, std::vector<DataRange> data,
        FileDescriptor file, Mapping mapping, std::uint64_t content_hash)
      : base_(std::move(base)),
        delta_pages_(std::move(delta_pages)),
        data_(std::move(data)),
        file_(std::move(file)),
        mapping_(std::move(mapping)),
        content_hash_(content_hash) {}

  std::shared_ptr<const Image> base_;
  std::vector<std::uint32_t> delta_pages_;
  std::vector<DataRange> data_;  // ascending; of a variant none
  FileDescriptor file_;
  Mapping mapping_;
  std::uint64_t content_hash_;
};

}  // namespace sandloom
