#include "memory/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/error.h"
#include "base/units.h"
#include "memory/delta_file.h"
#include "memory/sparse_copy.h"

namespace sandloom {
namespace {

// Above this it is quicker to map an image than to copy its pages into a sandbox.
constexpr std::size_t kMaxVariantPages = 2048;

std::vector<Image::DataRange> dataRanges(const FileDescriptor& file) {
  std::vector<Image::DataRange> ranges;
  off_t end = 0;
  while (true) {
    const off_t data = ::lseek(file.get(), end, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return ranges;  // only a hole is left
    if (data >= 0) end = ::lseek(file.get(), data, SEEK_HOLE);
    if (data < 0 || end < 0) throw Error::system("lseek in an image");
    ranges.push_back({static_cast<std::size_t>(data), static_cast<std::size_t>(end)});
  }
}

}  // namespace

std::shared_ptr<const Image> Image::open(const std::string& base_path, const std::optional<std::string>& delta_path) {
  const FileDescriptor base = FileDescriptor::open(base_path, O_RDONLY);
  const std::size_t base_bytes = base.bytes();
  if (base_bytes == 0) throw Error(ErrorCode::kBadImage, base_path + " is empty");
  std::optional<DeltaFile> delta;
  if (delta_path) delta.emplace(*delta_path);
  const std::size_t rounded_bytes = roundUp(base_bytes, kPageBytes);
  if (delta && delta->imageBytes() < rounded_bytes)
    throw Error(ErrorCode::kBadImage, *delta_path + " is of an image shorter than " + base_path,
                {{"delta_image_bytes", asValue(delta->imageBytes())}, {"base_bytes", asValue(rounded_bytes)}});
  const std::size_t bytes = delta ? delta->imageBytes() : rounded_bytes;

  FileDescriptor file = FileDescriptor::memfd("sandloom-image", bytes);
  const std::uint64_t content_hash = copySparse(base, base_bytes, file);
  if (delta) {
    delta->requireBase(content_hash);
    delta->applyTo(file);
  }
  // No write and no shared writable mapping from here on, so one image serves sandboxes that do not trust each other.
  // F_SEAL_WRITE would say the same of a file that was never mapped, but waits for transient references to its pages, and
  // fails with EBUSY when the kernel's page migration holds some (seen under load).
  file.addSeals(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
  std::vector<DataRange> data = dataRanges(file);
  Mapping mapping = Mapping::file(file.get(), bytes, PROT_READ, MAP_PRIVATE, kPageBytes);
  return std::shared_ptr<const Image>(
      std::make_unique<Image>(Image(nullptr, {}, std::move(data), std::move(file), std::move(mapping), content_hash)));
}

std::shared_ptr<const Image> Image::openVariant(std::shared_ptr<const Image> base, const std::string& delta_path) {
  const DeltaFile delta(delta_path);
  delta.requireBase(base->contentHash());
  if (delta.imageBytes() != base->bytes() || delta.pageCount() > kMaxVariantPages) return nullptr;
  std::vector<std::uint32_t> pages = delta.pageNumbers();
  Mapping mapping =
      Mapping::file(base->fd(), base->bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, kPageBytes);
  delta.copyTo(mapping.data());
  if (::mprotect(mapping.data(), mapping.bytes(), PROT_READ) != 0) throw Error::system("mprotect of an image");
  const std::uint64_t content_hash = base->contentHash();
  return std::shared_ptr<const Image>(std::make_unique<Image>(
      Image(std::move(base), std::move(pages), {}, FileDescriptor(), std::move(mapping), content_hash)));
}

std::size_t Image::dataBytes() const {
  if (!base_) return data_.empty() ? 0 : data_.back().end;
  return std::max(base_->dataBytes(), delta_pages_.empty() ? 0 : (std::size_t{delta_pages_.back()} + 1) * kPageBytes);
}

bool Image::isHole(std::size_t offset) const {
  if (base_) return base_->isHole(offset) && !std::ranges::binary_search(delta_pages_, offset / kPageBytes);
  const auto after = std::ranges::upper_bound(data_, offset, {}, &DataRange::start);
  return after == data_.begin() || std::prev(after)->end <= offset;
}

}  // namespace sandloom
