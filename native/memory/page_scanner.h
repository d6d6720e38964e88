// Finds the private pages of a range: those that the process copied on write or got as anonymous memory.
//
// A page of a MAP_PRIVATE file mapping that nobody wrote is the file's own; one that was written is private. So "which
// pages did this run dirty" is a question that the page tables answer, without write-protecting anything first.
#pragma once

#include <cstddef>
#include <vector>

#include "base/file_descriptor.h"

namespace sandloom {

struct PageRun {
  std::byte* start;
  std::size_t bytes;
};

class PageScanner {
 public:
  enum class Method {
    kScanIoctl,  // PAGEMAP_SCAN, Linux 6.7: walks the page tables and returns runs
    kPagemap,    // 8 bytes of /proc/self/pagemap for each page
  };

  // Opens /proc/self/pagemap, once: a jailed process cannot open it later. Uses the ioctl if the kernel has it.
  PageScanner();
  // With one method, for tests. Errors: SystemError if the kernel lacks it.
  explicit PageScanner(Method method);

  // The scanner of this process, opened at first use.
  static const PageScanner& ofProcess();

  Method method() const { return method_; }

  // Runs of private pages in [start, start + bytes), ascending and not adjacent, appended to `runs`. Pages that were
  // swapped out count; so does the shared zero page that a read of untouched anonymous memory leaves.
  // `start` and `bytes` are multiples of the page. Errors: SystemError.
  void privateRuns(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const;
  std::size_t privateBytes(std::byte* start, std::size_t bytes) const;

 private:
  void scanWithIoctl(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const;
  void scanPagemap(std::byte* start, std::size_t bytes, std::vector<PageRun>& runs) const;
  bool ioctlWorks() const;

  FileDescriptor pagemap_;
  Method method_;
};

}  // namespace sandloom
