// One sandbox's linear memory: the image below, the window of regions in it, and the way back to the image.
//
// The memory belongs to V8. A Space only changes what is mapped at its addresses, and only in explicit calls: its
// destructor gives up what it holds and touches no address, because by then V8 may have unmapped the memory.
// A Space belongs to the thread of its sandbox; a call that fails with SystemError leaves it fit only for close().
//
//   0 ............ window_offset ............ window_end ......... end of image's data ......... memory end
//   | image, copy on write |   regions, else zeros   | image, copy on write | tail: zeros, private |
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "memory/delta_file.h"
#include "memory/image.h"
#include "memory/page_scanner.h"
#include "memory/region_store.h"
#include "memory/window.h"

namespace sandloom {

class Space {
 public:
  struct Options {
    std::size_t window_offset;
    std::size_t window_bytes;
  };
  struct ResetSummary {
    std::size_t dirty_pages;  // that were copied back
    std::size_t tail_bytes;   // that were cleared: where the image has a hole, or ends
    std::size_t regions_detached;
    bool scanned;  // page tables were read to find the dirty pages
  };
  struct AttachmentInfo {
    RegionId region;
    std::size_t offset;  // in the linear memory
    std::size_t bytes;
    bool writable;
  };

  // The window's offset and length are multiples of 64 KiB; the memory may still have to grow to hold it.
  // Errors: BadArgument.
  Space(std::byte* base, std::size_t bytes, Options options, RegionStore& store, const PageScanner& scanner);
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  // After memory.grow. Errors: BaseMoved (native state would point at freed memory: discard the sandbox), BadArgument
  // if it shrank.
  void rebind(std::byte* base, std::size_t bytes);

  // Maps the image around the window, and zeros everywhere else. Every region is detached.
  // `untouched`: the memory is as the last reset or mapImage left it, so that from one image to another over the same base only
  // the pages of these two are written. Errors: BadArgument if image or window do not fit, SystemError.
  void mapImage(std::shared_ptr<const Image> image, bool untouched = false);
  // Makes the memory equal to the image again and detaches every region. Private pages stay, with the image's content:
  // for 950 dirty pages that takes 0.13 ms, and mapping afresh 0.2 ms plus 1.7 ms of faults in the next run. mapImage is
  // the way to give their memory back. Errors: BadArgument if no image is mapped.
  ResetSummary reset();
  // The guest is about to run, in this thread, and the host writes into its memory no more. A page becomes private by a fault, so
  // the next reset finds the same pages private as the last one if this thread had no fault in between but attach's own; it then
  // scans no page table, which takes 0.2 ms for 75 MiB, nor does the look for stray writes. Without this call both always scan.
  void enter();

  // Pages outside of the window whose content differs from the image's (from zero, where there is no image).
  std::vector<std::uint32_t> dirtyPages() const;
  // Those pages as a delta over the mapped image. Errors: SystemError.
  // `image_bytes`: how long the image will be; what lies past it is not kept.
  DeltaSummary writeDelta(const std::string& path, std::size_t image_bytes) const;
  // Memory outside of the window that this sandbox does not share.
  std::size_t privateBytes() const;

  // Maps a region and returns its offset. Errors: BadRegion, WindowFull, StrayWrite, BadArgument, SystemError.
  // `populate`: it will be used at once, so map the pages of a small region now.
  std::size_t attach(RegionId region, bool writable, bool populate = false);
  // Errors: BadRegion if it is not attached.
  void detach(RegionId region);
  // Regions attached read-only, now or since the last reset or mapImage, that were written to all the same.
  std::vector<RegionId> strayWrites() const;
  std::vector<AttachmentInfo> attachments() const;

  // Maps zeros over all that was mapped and gives up everything. Later calls fail with SpaceClosed.
  void close();
  // Gives up everything and touches no address.
  void abandon() noexcept;

 private:
  struct Span {
    std::size_t offset;
    std::size_t bytes;
  };
  struct Attachment {
    RegionLease lease;
    std::size_t offset;
    bool writable;
    std::size_t count;
  };

  std::size_t windowEnd() const { return options_.window_offset + options_.window_bytes; }
  // Where what is not zero in the image ends, or in the one whose file is mapped.
  std::size_t imageEnd() const { return image_ ? std::max(image_->dataBytes(), mapped_->dataBytes()) : 0; }
  std::vector<Span> imageSpans() const;
  std::vector<Span> tailSpans() const;
  void requireOpen() const;
  void mapZeros(Span span);
  void mapExtent(const Extent& extent, std::size_t offset, bool writable);
  void makeWritable(RegionId region, Attachment& attachment);
  void clearWindow();
  bool hasStrayPages(const Attachment& attachment) const;
  bool noFaultSinceEnter() const;
  void switchTo(std::shared_ptr<const Image> image, bool untouched);
  void mapWhole();
  void writePages(std::span<const std::uint32_t> pages);
  static const Image* fileOf(const std::shared_ptr<const Image>& image);
  std::size_t copyBack();
  std::size_t clearTail();
  std::vector<PageRun> privateRuns(const std::vector<Span>& spans) const;
  void touch(std::size_t offset, std::size_t bytes);

  std::byte* base_;
  std::size_t bytes_;
  Options options_;
  RegionStore& store_;
  const PageScanner& scanner_;
  Window window_;
  std::shared_ptr<const Image> image_;
  // Whose file is mapped: `image_`'s own, or its base's, which it keeps.
  const Image* mapped_ = nullptr;
  std::map<RegionId, Attachment> attachments_;
  std::set<RegionId> strayed_;  // found at their detach
  // What the last reset found, as long as nothing else made pages private or shared since.
  std::vector<PageRun> private_image_;
  std::vector<PageRun> private_tail_;
  bool private_known_ = false;
  std::size_t resets_ = 0;
  std::uint64_t faults_at_reset_ = 0;
  std::optional<std::uint64_t> faults_at_enter_;
  bool closed_ = false;
};

}  // namespace sandloom
