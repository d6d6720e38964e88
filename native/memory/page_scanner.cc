#include "memory/page_scanner.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/units.h"

namespace sandloom {
namespace {

// include/uapi/linux/fs.h of Linux 6.7; Debian 12 ships the headers of 6.1. Documentation/admin-guide/mm/pagemap.rst.
struct KernelPageRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};

struct KernelScanArgument {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
static_assert(sizeof(KernelScanArgument) == 96);

constexpr unsigned long kPagemapScan = _IOWR('f', 16, KernelScanArgument);
constexpr std::uint64_t kPageIsFile = 1U << 2U;
constexpr std::uint64_t kPageIsPresent = 1U << 3U;
constexpr std::uint64_t kPageIsSwapped = 1U << 4U;

// The kernel holds the process's mmap lock while it walks, and every other thread's mapping of a region waits for it: 75 MiB at
// once kept them 0.5 ms, a chunk keeps them 10 us.
constexpr std::size_t kScanChunkBytes = 2 * kMiB;

// Bits of an entry of /proc/self/pagemap.
constexpr std::uint64_t kPagemapPresent = 1ULL << 63U;
constexpr std::uint64_t kPagemapSwapped = 1ULL << 62U;
constexpr std::uint64_t kPagemapFileOrShared = 1ULL << 61U;

void append(std::vector<PageRun>& runs, std::size_t first, std::byte* start, std::size_t bytes) {
  if (runs.size() > first && runs.back().start + runs.back().bytes == start) {
    runs.back().bytes += bytes;
    return;
  }
  runs.push_back({start, bytes});
}

}  // namespace

PageScanner::PageScanner() : pagemap_(FileDescriptor::open("/proc/self/pagemap", O_RDONLY)), method_(Method::kPagemap) {
  if (ioctlWorks()) method_ = Method::kScanIoctl;
}

PageScanner::PageScanner(Method method)
    : pagemap_(FileDescriptor::open("/proc/self/pagemap", O_RDONLY)), method_(method) {
  if (method == Method::kScanIoctl && !ioctlWorks()) throw Error::system("PAGEMAP_SCAN");
}

const PageScanner& PageScanner::ofProcess() {
  static const PageScanner scanner;
  return scanner;
}

bool PageScanner::ioctlWorks() const {
  KernelScanArgument argument = {};
  argument.size = sizeof argument;
  return ::ioctl(pagemap_.get(), kPagemapScan, &argument) >= 0;
}

void PageScanner::privateRuns(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const {
  if (bytes == 0) return;
  if (method_ == Method::kScanIoctl) {
    scanWithIoctl(start, bytes, runs);
  } else {
    scanPagemap(start, bytes, runs);
  }
}

std::size_t PageScanner::privateBytes(std::byte* start, std::size_t bytes) const {
  std::vector<PageRun> runs;
  privateRuns(start, bytes, runs);
  std::size_t total = 0;
  for (const PageRun& run : runs) total += run.bytes;
  return total;
}

void PageScanner::scanWithIoctl(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const {
  const std::size_t first = runs.size();
  const auto base = reinterpret_cast<std::uintptr_t>(start);
  std::array<KernelPageRegion, 256> regions;
  KernelScanArgument argument = {};
  argument.size = sizeof argument;
  argument.start = base;
  argument.vec = reinterpret_cast<std::uintptr_t>(regions.data());
  argument.vec_len = regions.size();
  // A page is wanted when "not file" and any of "present" and "swapped" hold.
  argument.category_inverted = kPageIsFile;
  argument.category_mask = kPageIsFile;
  argument.category_anyof_mask = kPageIsPresent | kPageIsSwapped;
  while (argument.start < base + bytes) {
    argument.end = std::min<std::uint64_t>(argument.start + kScanChunkBytes, base + bytes);
    const int count = ::ioctl(pagemap_.get(), kPagemapScan, &argument);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error::system("PAGEMAP_SCAN");
    for (const KernelPageRegion& region : std::span(regions).first(static_cast<std::size_t>(count)))
      append(runs, first, start + (region.start - base), region.end - region.start);
    if (argument.walk_end <= argument.start) throw Error::system("PAGEMAP_SCAN made no progress", EIO);
    argument.start = argument.walk_end;
  }
}

void PageScanner::scanPagemap(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const {
  const std::size_t first = runs.size();
  const std::size_t pages = bytes / kPageBytes;
  const std::size_t first_page = reinterpret_cast<std::uintptr_t>(start) / kPageBytes;
  std::array<std::uint64_t, 2048> entries;
  for (std::size_t page = 0; page < pages;) {
    const std::size_t count = std::min(entries.size(), pages - page);
    pagemap_.readAt(std::as_writable_bytes(std::span(entries).first(count)), (first_page + page) * sizeof(std::uint64_t));
    for (std::size_t index = 0; index < count; ++index) {
      const std::uint64_t entry = entries[index];
      const bool mapped = (entry & (kPagemapPresent | kPagemapSwapped)) != 0;
      if (mapped && (entry & kPagemapFileOrShared) == 0)
        append(runs, first, start + (page + index) * kPageBytes, kPageBytes);
    }
    page += count;
  }
}

}  // namespace sandloom
