// The file that holds an application image: the pages in which a linear memory differs from the image below it.
//
//   0   char magic[8]        "SLDELTA2"; the digit is the format's version
//   8   u32  page_count
//   12  u32  page_bytes      4096
//   16  u64  image_bytes     length of the resulting image; may exceed that of the base
//   24  u64  base_hash       contentHash() of the image below it; 0 for any
//   32  u64  payload_hash    XXH3 (64 bits) of base_hash, the page numbers and the pages
//   40  u32  page_numbers[page_count], ascending, then zeros up to a multiple of 4096
//       u8   pages[page_count][4096]
//
// All little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/mapping.h"

namespace sandloom {

struct DeltaSummary {
  std::size_t pages;
  std::size_t bytes;  // of the file
};

// Writes the pages `numbers` (ascending) of the linear memory at `base`. The file appears under `path` whole or not at
// all. Errors: SystemError.
DeltaSummary writeDeltaFile(const std::string& path, const std::byte* base, std::span<const std::uint32_t> numbers,
                            std::size_t image_bytes, std::uint64_t base_hash = 0);

class DeltaFile {
 public:
  // Opens and checks all of it. Errors: SystemError, BadImage.
  explicit DeltaFile(const std::string& path);

  std::size_t imageBytes() const { return image_bytes_; }
  // Errors: BadImage if it was written over another base.
  void requireBase(std::uint64_t base_hash) const;
  std::size_t pageCount() const { return numbers_.size(); }
  std::vector<std::uint32_t> pageNumbers() const { return {numbers_.begin(), numbers_.end()}; }
  // Writes the pages to their places. Errors: SystemError.
  void applyTo(const FileDescriptor& image) const;
  // The same in memory: `image` is where page 0 lies.
  void copyTo(std::byte* image) const;

 private:
  std::string path_;
  std::vector<std::byte> contents_;
  std::span<const std::uint32_t> numbers_;
  std::span<const std::byte> pages_;
  std::size_t image_bytes_ = 0;
  std::uint64_t base_hash_ = 0;
};

}  // namespace sandloom
