#include "memory/space.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/units.h"

namespace sandloom {
namespace {

constexpr std::size_t kMaxMemoryBytes = 4096 * kMiB;  // wasm32

// How much of the heap past the image is zeroed in place by a reset instead of dropped: most components use a little of
// it, and a fault for each page (0.25-0.5 us) costs more than clearing it (0.1 us).
constexpr std::size_t kKeptTailBytes = 2 * kMiB;
// Once in so many resets what of it the last component did not write is given up: else one that used much makes every later reset
// look through all of that.
constexpr std::size_t kTrimResets = 8;
// Beyond this a reset takes longer than faulting in what the next component needs.
constexpr std::size_t kKeptDirtyBytes = 8 * kMiB;

// What a new sandbox has run makes as many pages private, and the next application's components write the same: a new page
// takes 2 us. Above this, the memory is worth more.
constexpr std::size_t kKeptSwitchBytes = 4 * kMiB;

constexpr int kReadWrite = PROT_READ | PROT_WRITE;  // no window page is ever PROT_READ: V8 does not survive the fault

// A fault of a mapping of a file maps what lies around it too (fault_around_bytes).
constexpr std::size_t kFaultAroundBytes = 64 * kKiB;

// Of the calling thread, whoever caused them: the guest, V8, the kernel on their behalf.
std::uint64_t threadFaults() {
  rusage usage = {};
  ::getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_minflt) + static_cast<std::uint64_t>(usage.ru_majflt);
}

bool isZeroPage(const std::byte* page) {
  return page[0] == std::byte{0} && std::memcmp(page, page + 1, kPageBytes - 1) == 0;
}

std::size_t bytesOf(const std::vector<PageRun>& runs) {
  std::size_t bytes = 0;
  for (const PageRun& run : runs) bytes += run.bytes;
  return bytes;
}

void appendPage(std::vector<PageRun>& runs, std::byte* page) {
  if (!runs.empty() && runs.back().start + runs.back().bytes == page) {
    runs.back().bytes += kPageBytes;
  } else {
    runs.push_back({page, kPageBytes});
  }
}

}  // namespace

Space::Space(std::byte* base, std::size_t bytes, Options options, RegionStore& store, const PageScanner& scanner)
    : base_(base), bytes_(bytes), options_(options), store_(store), scanner_(scanner), window_(options.window_bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  if (address == 0 || address % kPageBytes != 0 || bytes % kWasmPageBytes != 0 || bytes > kMaxMemoryBytes)
    throw Error(ErrorCode::kBadArgument, "memory must view the whole buffer of a WebAssembly.Memory");
  if (options.window_offset % kWasmPageBytes != 0 || options.window_bytes % kWasmPageBytes != 0 ||
      options.window_offset > kMaxMemoryBytes || options.window_bytes > kMaxMemoryBytes - options.window_offset)
    throw Error(ErrorCode::kBadArgument, "the window must be whole 64 KiB pages below 4 GiB",
                {{"window_offset", asValue(options.window_offset)}, {"window_bytes", asValue(options.window_bytes)}});
}

void Space::rebind(std::byte* base, std::size_t bytes) {
  requireOpen();
  if (base != base_) throw Error(ErrorCode::kBaseMoved, "the linear memory moved when it grew");
  if (bytes < bytes_ || bytes % kWasmPageBytes != 0 || bytes > kMaxMemoryBytes)
    throw Error(ErrorCode::kBadArgument, "a linear memory only grows, by whole 64 KiB pages",
                {{"memory_bytes", asValue(bytes)}, {"previous_bytes", asValue(bytes_)}});
  bytes_ = bytes;
}

void Space::mapImage(std::shared_ptr<const Image> image, bool untouched) {
  requireOpen();
  if (std::max(image->bytes(), windowEnd()) > bytes_)
    throw Error(ErrorCode::kBadArgument, "the linear memory is shorter than the image or the window: grow it first",
                {{"memory_bytes", asValue(bytes_)},
                 {"image_bytes", asValue(image->bytes())},
                 {"window_end", asValue(windowEnd())}});
  if (mapped_ && image_ != image && fileOf(image) == mapped_) {
    switchTo(std::move(image), untouched);
    return;
  }
  clearWindow();
  strayed_.clear();
  private_known_ = false;
  image_ = std::move(image);
  mapWhole();
}

const Image* Space::fileOf(const std::shared_ptr<const Image>& image) {
  return image->base() ? image->base() : image.get();
}

// From one application to another over the same base: only the pages in which either differs from it are written. Mapping the
// other image would drop every page table entry, and its first component would take 5 ms of faults to get them back.
void Space::switchTo(std::shared_ptr<const Image> image, bool untouched) {
  clearWindow();
  strayed_.clear();
  const std::shared_ptr<const Image> before = std::exchange(image_, std::move(image));
  if (untouched && bytesOf(private_image_) + bytesOf(private_tail_) <= kKeptSwitchBytes) {
    // What is private holds what `before` has.
    private_known_ = false;
    writePages(before->deltaPages());
    writePages(image_->deltaPages());
    return;
  }
  // Nothing of the guest ran since enter().
  const bool known = private_known_ && faults_at_enter_;
  std::vector<PageRun> own = known ? private_image_ : privateRuns(imageSpans());
  const std::vector<PageRun> tail = known ? private_tail_ : privateRuns(tailSpans());
  private_known_ = false;
  own.insert(own.end(), tail.begin(), tail.end());
  const bool keep = bytesOf(own) <= kKeptSwitchBytes;
  for (const PageRun& run : own) {
    if (!keep) {  // what is mapped shows again, and zeros in the tail
      if (::madvise(run.start, run.bytes, MADV_DONTNEED) != 0) throw Error::system("madvise (image)");
      continue;
    }
    const auto offset = static_cast<std::size_t>(run.start - base_);
    const std::size_t within = std::min(run.bytes, image_->bytes() - std::min(offset, image_->bytes()));
    std::memcpy(run.start, image_->data() + std::min(offset, image_->bytes()), within);
    std::memset(run.start + within, 0, run.bytes - within);
  }
  writePages(image_->deltaPages());
}

void Space::writePages(std::span<const std::uint32_t> pages) {
  for (const std::uint32_t page : pages) {
    const std::size_t offset = std::size_t{page} * kPageBytes;
    std::memcpy(base_ + offset, image_->data() + offset, kPageBytes);
  }
}

void Space::mapWhole() {
  mapped_ = fileOf(image_);
  for (const Span& span : imageSpans()) {
    const auto file_offset = static_cast<off_t>(span.offset);
    if (::mmap(base_ + span.offset, span.bytes, kReadWrite, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, mapped_->fd(),
               file_offset) == MAP_FAILED)
      throw Error::system("mmap of an image");
  }
  for (const Span& span : tailSpans()) mapZeros(span);
  writePages(image_->deltaPages());
}

Space::ResetSummary Space::reset() {
  requireOpen();
  if (!image_) throw Error(ErrorCode::kBadArgument, "no image is mapped that could be gone back to");
  ResetSummary summary = {};
  summary.regions_detached = attachments_.size();
  const bool none_new = private_known_ && noFaultSinceEnter();
  faults_at_enter_.reset();
  clearWindow();
  strayed_.clear();
  if (!none_new) {
    private_tail_ = privateRuns(tailSpans());
    private_image_.clear();
    // A large array that lies where the image has a hole is cleared like one behind it, not copied over.
    for (const PageRun& run : privateRuns(imageSpans()))
      for (std::byte* page = run.start; page < run.start + run.bytes; page += kPageBytes)
        appendPage(image_->isHole(static_cast<std::size_t>(page - base_)) ? private_tail_ : private_image_, page);
  }
  private_known_ = false;  // until all of it is done
  summary.scanned = !none_new;
  summary.dirty_pages = copyBack();
  summary.tail_bytes = clearTail();
  private_known_ = true;
  faults_at_reset_ = threadFaults();
  return summary;
}

bool Space::noFaultSinceEnter() const {
  return faults_at_enter_ && threadFaults() == *faults_at_enter_;
}

void Space::enter() {
  requireOpen();
  faults_at_enter_ = threadFaults();
  if (faults_at_reset_ != *faults_at_enter_) private_known_ = false;
}

std::size_t Space::clearTail() {
  const bool trim = ++resets_ % kTrimResets == 0;
  std::vector<PageRun> kept;
  std::vector<PageRun> unused;
  std::size_t tail_bytes = 0;
  std::size_t kept_bytes = 0;
  for (const PageRun& run : private_tail_) {
    tail_bytes += run.bytes;
    for (std::byte* page = run.start; page < run.start + run.bytes; page += kPageBytes) {
      const bool room = kept_bytes < kKeptTailBytes;
      const bool written = room && !isZeroPage(page);
      if (written) std::memset(page, 0, kPageBytes);
      const bool keep = written || (room && !trim);
      if (keep) kept_bytes += kPageBytes;
      appendPage(keep ? kept : unused, page);
    }
  }
  // Private pages of zeros, or of what a component left, are now as if they had never been touched.
  for (const PageRun& run : unused)
    if (::madvise(run.start, run.bytes, MADV_DONTNEED) != 0) throw Error::system("madvise (tail)");
  private_tail_ = std::move(kept);
  return tail_bytes;
}

std::size_t Space::copyBack() {
  const std::size_t bytes = bytesOf(private_image_);
  // A page that was copied back stays private, and is copied back at every later reset. After a component that wrote far more
  // than others do, all are let go of: the image's own pages show again.
  const bool keep = bytes <= kKeptDirtyBytes;
  if (keep) {
    for (const PageRun& run : private_image_) std::memcpy(run.start, image_->data() + (run.start - base_), run.bytes);
    return bytes / kPageBytes;
  }
  if (mapped_ == image_.get()) {
    for (const PageRun& run : private_image_)
      if (::madvise(run.start, run.bytes, MADV_DONTNEED) != 0) throw Error::system("madvise (image)");
  } else {
    mapWhole();
    private_tail_.clear();
  }
  private_image_.clear();
  return bytes / kPageBytes;
}

std::vector<std::uint32_t> Space::dirtyPages() const {
  requireOpen();
  std::vector<std::uint32_t> pages;
  std::vector<Span> spans = imageSpans();
  const std::vector<Span> tail = tailSpans();
  spans.insert(spans.end(), tail.begin(), tail.end());
  for (const PageRun& run : privateRuns(spans)) {
    const auto start = static_cast<std::size_t>(run.start - base_);
    for (std::size_t offset = start; offset < start + run.bytes; offset += kPageBytes) {
      const bool same = image_ && offset < image_->bytes() ? std::memcmp(base_ + offset, image_->data() + offset, kPageBytes) == 0
                                              : isZeroPage(base_ + offset);
      if (!same) pages.push_back(static_cast<std::uint32_t>(offset / kPageBytes));
    }
  }
  std::ranges::sort(pages);
  return pages;
}

DeltaSummary Space::writeDelta(const std::string& path, std::size_t image_bytes) const {
  const std::size_t base_bytes = image_ ? image_->bytes() : 0;
  if (image_bytes < base_bytes || image_bytes > bytes_ || image_bytes % kPageBytes != 0)
    throw Error(ErrorCode::kBadArgument, "an image is whole pages, no shorter than its base and no longer than the memory",
                {{"image_bytes", asValue(image_bytes)}, {"base_bytes", asValue(base_bytes)}, {"memory_bytes", asValue(bytes_)}});
  std::vector<std::uint32_t> pages = dirtyPages();
  if (image_ && image_->base()) {  // a delta is over a base
    std::vector<std::uint32_t> all;
    std::ranges::set_union(pages, image_->deltaPages(), std::back_inserter(all));
    pages = std::move(all);
  }
  std::erase_if(pages, [&](std::uint32_t page) { return page >= image_bytes / kPageBytes; });
  return writeDeltaFile(path, base_, pages, image_bytes, image_ ? image_->contentHash() : 0);
}

std::size_t Space::privateBytes() const {
  requireOpen();
  return scanner_.privateBytes(base_, std::min(bytes_, options_.window_offset)) +
         (bytes_ > windowEnd() ? scanner_.privateBytes(base_ + windowEnd(), bytes_ - windowEnd()) : 0);
}

std::size_t Space::attach(RegionId region, bool writable, bool populate) {
  requireOpen();
  if (windowEnd() > bytes_)
    throw Error(ErrorCode::kBadArgument, "the linear memory does not reach the end of the window: grow it first",
                {{"memory_bytes", asValue(bytes_)}, {"window_end", asValue(windowEnd())}});
  if (const auto found = attachments_.find(region); found != attachments_.end()) {
    if (writable && !found->second.writable) makeWritable(region, found->second);
    ++found->second.count;
    return found->second.offset;
  }
  RegionLease lease = store_.lease(region);
  const Extent& extent = lease.extent();
  Placement placement = {kPageBytes, 0};
  if (extent.bytes() >= kHugePageBytes) {
    // Huge pages are mapped as such where address and file offset are equal modulo their size.
    const auto window_address = reinterpret_cast<std::uintptr_t>(base_) + options_.window_offset;
    placement = {kHugePageBytes, (extent.offset() - window_address) & (kHugePageBytes - 1)};
  }
  const std::size_t in_window = window_.allocate(extent.bytes(), placement);
  const std::size_t offset = options_.window_offset + in_window;
  try {
    mapExtent(extent, offset, writable);
    if (populate) touch(offset, extent.bytes());
  } catch (...) {
    window_.free(in_window, extent.bytes());
    throw;
  }
  attachments_.emplace(region, Attachment{std::move(lease), offset, writable, 1});
  return offset;
}

// Reads a byte here and there, writers too: each fault maps the pages around it, or the huge page that it is in, and where the
// mapping is shared they can then be written. 20 us for 1 MiB; MADV_POPULATE_READ looks at every page and takes 50,
// MADV_POPULATE_WRITE 160. A fault that the guest need not take is also one after which no page table must be looked through, which
// takes 1.4 ms when the component has read so much that the kernel's page descriptors left the CPU's cache.
void Space::touch(std::size_t offset, std::size_t bytes) {
  const std::uint64_t before = faults_at_enter_ ? threadFaults() : 0;
  const volatile std::byte* start = base_ + offset;
  const std::size_t huge_bytes = roundDown(bytes, kHugePageBytes);
  for (std::size_t at = 0; at < huge_bytes; at += kHugePageBytes) (void)start[at];
  for (std::size_t at = huge_bytes; at < bytes; at += kFaultAroundBytes) (void)start[at];
  (void)start[bytes - 1];
  if (faults_at_enter_) *faults_at_enter_ += threadFaults() - before;
}

void Space::mapExtent(const Extent& extent, std::size_t offset, bool writable) {
  // Readers get their own copy of what they should not have written: the others never see it, and it can be found.
  const int flags = MAP_FIXED | (writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
  void* address = base_ + offset;
  if (::mmap(address, extent.bytes(), kReadWrite, flags, extent.fd(), static_cast<off_t>(extent.offset())) == MAP_FAILED)
    throw Error::system("mmap of a region");
}

void Space::makeWritable(RegionId region, Attachment& attachment) {
  if (hasStrayPages(attachment))
    throw Error(ErrorCode::kStrayWrite, "the region was written to while it was attached read-only",
                {{"region", asValue(region)}});
  mapExtent(attachment.lease.extent(), attachment.offset, true);
  attachment.writable = true;
}

void Space::detach(RegionId region) {
  requireOpen();
  const auto found = attachments_.find(region);
  if (found == attachments_.end())
    throw Error(ErrorCode::kBadRegion, "region " + std::to_string(region) + " is not attached here",
                {{"region", asValue(region)}});
  Attachment& attachment = found->second;
  if (--attachment.count > 0) return;
  if (hasStrayPages(attachment)) strayed_.insert(region);
  const std::size_t bytes = attachment.lease.extent().bytes();
  mapZeros({attachment.offset, bytes});
  window_.free(attachment.offset - options_.window_offset, bytes);
  attachments_.erase(found);  // only now: the pages may be reused as soon as the lease is gone
}

bool Space::hasStrayPages(const Attachment& attachment) const {
  if (attachment.writable || noFaultSinceEnter()) return false;
  return scanner_.privateBytes(base_ + attachment.offset, attachment.lease.extent().bytes()) > 0;
}

std::vector<RegionId> Space::strayWrites() const {
  requireOpen();
  std::set<RegionId> regions = strayed_;
  for (const auto& [region, attachment] : attachments_)
    if (hasStrayPages(attachment)) regions.insert(region);
  return {regions.begin(), regions.end()};
}

std::vector<Space::AttachmentInfo> Space::attachments() const {
  std::vector<AttachmentInfo> infos;
  for (const auto& [region, attachment] : attachments_)
    infos.push_back({region, attachment.offset, attachment.lease.extent().bytes(), attachment.writable});
  std::ranges::sort(infos, {}, &AttachmentInfo::offset);
  return infos;
}

// One call for all regions, and for what a guest wrote between them.
void Space::clearWindow() {
  if (windowEnd() > bytes_ || options_.window_bytes == 0) return;
  const Span whole = {options_.window_offset, options_.window_bytes};
  if (!image_ || !attachments_.empty()) {
    mapZeros(whole);
  } else if (::madvise(base_ + whole.offset, whole.bytes, MADV_DONTNEED) != 0) {
    throw Error::system("madvise (window)");
  }
  attachments_.clear();
  window_.reset();
}

void Space::close() {
  if (closed_) return;
  if (image_) {
    mapZeros({0, bytes_});
  } else if (!attachments_.empty()) {
    clearWindow();
  }
  abandon();
}

void Space::abandon() noexcept {
  closed_ = true;
  attachments_.clear();
  strayed_.clear();
  image_.reset();
  mapped_ = nullptr;
}

std::vector<Space::Span> Space::imageSpans() const {
  std::vector<Span> spans;
  const std::size_t below = std::min(imageEnd(), options_.window_offset);
  if (below > 0) spans.push_back({0, below});
  if (imageEnd() > windowEnd()) spans.push_back({windowEnd(), imageEnd() - windowEnd()});
  return spans;
}

// Everything that is neither image nor window.
std::vector<Space::Span> Space::tailSpans() const {
  std::vector<Span> spans;
  const auto add = [&](std::size_t start, std::size_t end) {
    if (start < end) spans.push_back({start, end - start});
  };
  add(imageEnd(), std::min(options_.window_offset, bytes_));
  add(std::max(imageEnd(), windowEnd()), bytes_);
  return spans;
}

std::vector<PageRun> Space::privateRuns(const std::vector<Span>& spans) const {
  std::vector<PageRun> runs;
  for (const Span& span : spans) scanner_.privateRuns(base_ + span.offset, span.bytes, runs);
  return runs;
}

void Space::mapZeros(Span span) {
  if (::mmap(base_ + span.offset, span.bytes, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) ==
      MAP_FAILED)
    throw Error::system("mmap of zeros");
}

void Space::requireOpen() const {
  if (closed_) throw Error(ErrorCode::kSpaceClosed, "this space is closed");
}

}  // namespace sandloom
