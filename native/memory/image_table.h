// The images that a process has open, by id. Used from every thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "memory/image.h"

namespace sandloom {

using ImageId = std::uint64_t;

class ImageTable {
 public:
  // Opens the base, unless it is open, or the delta over it. Errors: SystemError, BadImage.
  std::shared_ptr<const Image> open(const std::string& base_path, const std::optional<std::string>& delta_path);
  ImageId add(std::shared_ptr<const Image> image);
  // Errors: BadArgument if there is no such image.
  std::shared_ptr<const Image> get(ImageId id) const;
  // Forgets the id; the image stays while a Space has it mapped. Errors: BadArgument.
  void close(ImageId id);

 private:
  mutable std::mutex mutex_;
  std::map<ImageId, std::shared_ptr<const Image>> images_;
  // By path, while anyone uses them: all variants of one base share it.
  std::mutex opening_;
  std::map<std::string, std::weak_ptr<const Image>> bases_;
  ImageId next_id_ = 1;
};

}  // namespace sandloom
