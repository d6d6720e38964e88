#include "memory/delta_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash/xxhash.h>

#include "base/error.h"
#include "base/temporary_file.h"
#include "base/units.h"

namespace sandloom {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian and written as it lies in memory");

constexpr std::array<char, 8> kMagic = {'S', 'L', 'D', 'E', 'L', 'T', 'A', '2'};

struct Header {
  std::array<char, 8> magic;
  std::uint32_t page_count;
  std::uint32_t page_bytes;
  std::uint64_t image_bytes;
  std::uint64_t base_hash;
  std::uint64_t payload_hash;
};
static_assert(sizeof(Header) == 40);

std::size_t pagesOffset(std::size_t page_count) {
  return roundUp(sizeof(Header) + page_count * sizeof(std::uint32_t), kPageBytes);
}

// Pages that follow each other, from the index of the first on.
std::size_t runLength(std::span<const std::uint32_t> numbers, std::size_t first) {
  std::size_t length = 1;
  while (first + length < numbers.size() && numbers[first + length] == numbers[first] + length) ++length;
  return length;
}

class PayloadHash {
 public:
  PayloadHash() { XXH3_64bits_reset(&state_); }
  void add(std::span<const std::byte> bytes) { XXH3_64bits_update(&state_, bytes.data(), bytes.size()); }
  std::uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kBadImage, path + " is not a usable delta: " + why);
}

}  // namespace

DeltaSummary writeDeltaFile(const std::string& path, const std::byte* base, std::span<const std::uint32_t> numbers,
                            std::size_t image_bytes, std::uint64_t base_hash) {
  const auto pagesOf = [&](std::size_t first, std::size_t count) {
    return std::span(base + numbers[first] * kPageBytes, count * kPageBytes);
  };
  PayloadHash hash;
  hash.add(std::as_bytes(std::span(&base_hash, 1)));
  hash.add(std::as_bytes(numbers));
  for (std::size_t index = 0; index < numbers.size();) {
    const std::size_t count = runLength(numbers, index);
    hash.add(pagesOf(index, count));
    index += count;
  }
  const Header header = {kMagic, static_cast<std::uint32_t>(numbers.size()), kPageBytes, image_bytes, base_hash, hash.value()};

  TemporaryFile temporary(path);
  temporary.file().writeAt(std::as_bytes(std::span(&header, 1)), 0);
  temporary.file().writeAt(std::as_bytes(numbers), sizeof header);
  std::size_t offset = pagesOffset(numbers.size());
  if (::ftruncate(temporary.file().get(), static_cast<off_t>(offset)) != 0) throw Error::system("ftruncate of a delta");
  for (std::size_t index = 0; index < numbers.size();) {
    const std::size_t count = runLength(numbers, index);
    temporary.file().writeAt(pagesOf(index, count), offset);
    offset += count * kPageBytes;
    index += count;
  }
  temporary.renameTo(path);
  return {numbers.size(), offset};
}

DeltaFile::DeltaFile(const std::string& path) : path_(path) {
  const FileDescriptor file = FileDescriptor::open(path, O_RDONLY);
  contents_.resize(file.bytes());
  file.readAt(contents_, 0);
  Header header = {};
  if (contents_.size() < sizeof header) refuse(path, "it is shorter than its header");
  std::memcpy(&header, contents_.data(), sizeof header);
  if (header.magic != kMagic) refuse(path, "wrong magic or format version");
  if (header.page_bytes != kPageBytes) refuse(path, "its pages are not 4 KiB");
  const std::size_t pages_offset = pagesOffset(header.page_count);
  if (contents_.size() != pages_offset + header.page_count * kPageBytes) refuse(path, "its length is wrong");
  if (header.image_bytes % kPageBytes != 0) refuse(path, "image_bytes is not a multiple of 4096");

  image_bytes_ = header.image_bytes;
  base_hash_ = header.base_hash;
  // The vector's storage is aligned for any scalar, and the header's length is a multiple of 4.
  numbers_ = {reinterpret_cast<const std::uint32_t*>(contents_.data() + sizeof header), header.page_count};
  pages_ = std::span(contents_).subspan(pages_offset);
  PayloadHash hash;
  hash.add(std::as_bytes(std::span(&base_hash_, 1)));
  hash.add(std::as_bytes(numbers_));
  hash.add(pages_);
  if (hash.value() != header.payload_hash) refuse(path, "its content does not match its hash");
  for (std::size_t index = 0; index < numbers_.size(); ++index) {
    if (index > 0 && numbers_[index] <= numbers_[index - 1]) refuse(path, "its page numbers do not ascend");
    if ((numbers_[index] + std::size_t{1}) * kPageBytes > image_bytes_) refuse(path, "a page lies past its image_bytes");
  }
}

void DeltaFile::requireBase(std::uint64_t base_hash) const {
  if (base_hash_ != 0 && base_hash_ != base_hash) refuse(path_, "it was written over another base");
}

void DeltaFile::applyTo(const FileDescriptor& image) const {
  for (std::size_t index = 0; index < numbers_.size();) {
    const std::size_t count = runLength(numbers_, index);
    image.writeAt(pages_.subspan(index * kPageBytes, count * kPageBytes), numbers_[index] * kPageBytes);
    index += count;
  }
}

void DeltaFile::copyTo(std::byte* image) const {
  for (std::size_t index = 0; index < numbers_.size(); ++index)
    std::memcpy(image + numbers_[index] * kPageBytes, pages_.data() + index * kPageBytes, kPageBytes);
}

}  // namespace sandloom
