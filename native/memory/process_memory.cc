#include "memory/process_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/units.h"
#include "memory/page_scanner.h"

namespace sandloom {
namespace {

std::string readAll(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error::system("cannot open " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t kibField(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name);
  if (at == std::string::npos) return 0;
  return std::stoull(text.substr(at + 1 + name.size())) * kKiB;
}

Userfaultfd userfaultfdSupport() {
#ifdef SYS_userfaultfd
  constexpr int kUserModeOnlyFlag = 1;  // UFFD_USER_MODE_ONLY
  if (FileDescriptor(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC))).valid()) return Userfaultfd::kFull;
  if (FileDescriptor(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | kUserModeOnlyFlag))).valid())
    return Userfaultfd::kUserModeOnly;
#endif
  return Userfaultfd::kNone;
}

bool sealableMemfd() {
  return FileDescriptor(::memfd_create("sandloom-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING)).valid();
}

bool shmemHugePages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string word;
  while (file >> word)
    if (word.starts_with('[')) return word != "[never]" && word != "[deny]";
  return false;
}

}  // namespace

ProcessMemory processMemory() {
  const std::string rollup = readAll("/proc/self/smaps_rollup");
  const std::string maps = readAll("/proc/self/maps");
  const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
  // The listing itself has one open.
  const auto fds = static_cast<std::size_t>(std::distance(std::filesystem::begin(entries), std::filesystem::end(entries))) - 1;
  return {kibField(rollup, "Pss:"), kibField(rollup, "Rss:"), fds,
          static_cast<std::size_t>(std::ranges::count(maps, '\n'))};
}

Capabilities capabilities() {
  Capabilities found = {};
  try {
    found.pagemap_scan = PageScanner::ofProcess().method() == PageScanner::Method::kScanIoctl;
    found.pagemap = ::sysconf(_SC_PAGESIZE) == static_cast<long>(kPageBytes);
  } catch (const Error&) {
    found.pagemap = false;  // no /proc, or a jail that hides it
  }
  found.userfaultfd = userfaultfdSupport();
  found.memfd = sealableMemfd();
  found.shmem_thp = shmemHugePages();
  struct utsname names = {};
  if (::uname(&names) == 0) found.kernel = static_cast<const char*>(names.release);
  return found;
}

}  // namespace sandloom
