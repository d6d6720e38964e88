#include "memory/code_file.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash/xxhash.h>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/temporary_file.h"
#include "base/units.h"

namespace sandloom {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian and written as it lies in memory");

constexpr std::array<char, 8> kMagic = {'S', 'L', 'C', 'O', 'D', 'E', '0', '1'};

struct Header {
  std::array<char, 8> magic;
  std::uint64_t module_count;
  std::uint64_t payload_hash;  // of all that follows
};
static_assert(sizeof(Header) == 24);

struct Entry {
  std::uint64_t wasm_hash;
  std::uint64_t code_bytes;
};
static_assert(sizeof(Entry) == 16);

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kBadImage, path + " is not usable as compiled code: " + why);
}

}  // namespace

std::uint64_t hashOfModule(std::span<const std::byte> wasm) { return XXH3_64bits(wasm.data(), wasm.size()); }

void writeCodeFile(const std::string& path, std::span<const ModuleCode> modules) {
  std::vector<std::byte> payload(modules.size() * sizeof(Entry));
  for (std::size_t index = 0; index < modules.size(); ++index) {
    const Entry entry = {modules[index].wasm_hash, modules[index].code.size()};
    std::memcpy(payload.data() + index * sizeof entry, &entry, sizeof entry);
  }
  for (const ModuleCode& module : modules) payload.insert(payload.end(), module.code.begin(), module.code.end());
  const Header header = {kMagic, modules.size(), XXH3_64bits(payload.data(), payload.size())};

  TemporaryFile temporary(path);
  temporary.file().writeAt(std::as_bytes(std::span(&header, 1)), 0);
  temporary.file().writeAt(payload, sizeof header);
  temporary.renameTo(path);
}

CodeFile::CodeFile(const std::string& path) {
  const FileDescriptor file = FileDescriptor::open(path, O_RDONLY);
  const std::size_t file_bytes = file.bytes();
  Header header = {};
  if (file_bytes < sizeof header) refuse(path, "it is shorter than its header");
  mapping_ = Mapping::file(file.get(), file_bytes, PROT_READ, MAP_PRIVATE, kPageBytes);
  std::memcpy(&header, mapping_.data(), sizeof header);
  if (header.magic != kMagic) refuse(path, "wrong magic or format version");
  const std::span<const std::byte> payload(mapping_.data() + sizeof header, file_bytes - sizeof header);
  if (header.module_count > payload.size() / sizeof(Entry)) refuse(path, "its length is wrong");
  if (XXH3_64bits(payload.data(), payload.size()) != header.payload_hash) refuse(path, "its content does not match its hash");

  std::size_t at = header.module_count * sizeof(Entry);
  for (std::size_t index = 0; index < header.module_count; ++index) {
    Entry entry = {};
    std::memcpy(&entry, payload.data() + index * sizeof entry, sizeof entry);
    if (entry.code_bytes > payload.size() - at) refuse(path, "its length is wrong");
    modules_.push_back({entry.wasm_hash, payload.subspan(at, entry.code_bytes)});
    at += entry.code_bytes;
  }
  if (at != payload.size()) refuse(path, "its length is wrong");
}

}  // namespace sandloom
