#include "memory/image_table.h"

#include <utility>

#include "base/error.h"

namespace sandloom {
namespace {

Error unknownImage(ImageId id) {
  return {ErrorCode::kBadArgument, "no image " + std::to_string(id) + " is open", {{"image", asValue(id)}}};
}

}  // namespace

std::shared_ptr<const Image> ImageTable::open(const std::string& base_path, const std::optional<std::string>& delta_path) {
  std::shared_ptr<const Image> base;
  {
    const std::scoped_lock lock(opening_);
    std::weak_ptr<const Image>& known = bases_[base_path];
    base = known.lock();
    if (!base) known = base = Image::open(base_path, std::nullopt);
  }
  if (!delta_path) return base;
  std::shared_ptr<const Image> variant = Image::openVariant(std::move(base), *delta_path);
  return variant ? variant : Image::open(base_path, delta_path);
}

ImageId ImageTable::add(std::shared_ptr<const Image> image) {
  const std::scoped_lock lock(mutex_);
  const ImageId id = next_id_++;
  images_.emplace(id, std::move(image));
  return id;
}

std::shared_ptr<const Image> ImageTable::get(ImageId id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = images_.find(id);
  if (found == images_.end()) throw unknownImage(id);
  return found->second;
}

void ImageTable::close(ImageId id) {
  std::shared_ptr<const Image> last;  // outlives the lock: unmapping an image can take milliseconds
  const std::scoped_lock lock(mutex_);
  const auto found = images_.find(id);
  if (found == images_.end()) throw unknownImage(id);
  last = std::move(found->second);
  images_.erase(found);
}

}  // namespace sandloom
