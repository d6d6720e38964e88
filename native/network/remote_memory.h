// One server's memory, as a thread uses it that waits for what it asks: spans, reads and writes in them, and words of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "network/domain.h"

namespace sandloom {

// Bytes of one server's slab.
struct RemoteSpan {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

class RemoteMemory {
 public:
  RemoteMemory(Domain& domain, PeerId peer) : domain_(domain), peer_(peer) {}

  // The errors of all of these: those of Domain::read; BadRange, before anything is sent, if it reaches past the span.

  // Zeroed, and whole pages. Errors: also FabricFull, QuotaExceeded.
  RemoteSpan allocate(std::uint64_t bytes, const OperationOptions& options = {});
  // Errors: also BadRegion.
  void free(const RemoteSpan& span, const OperationOptions& options = {});

  void read(const RemoteSpan& span, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options = {});
  void write(const RemoteSpan& span, std::uint64_t offset, std::span<const std::byte> in, const OperationOptions& options = {});

  // On a word of 8 bytes, which is aligned; both return what was there before. Errors: also BadArgument.
  std::uint64_t fetchAdd(const RemoteSpan& span, std::uint64_t offset, std::uint64_t operand, const OperationOptions& options = {});
  std::uint64_t compareAndSwap(const RemoteSpan& span, std::uint64_t offset, std::uint64_t expected, std::uint64_t desired,
                               const OperationOptions& options = {});

  // Errors: also BadRegion.
  std::uint64_t version(const RemoteSpan& span, const OperationOptions& options = {});
  // Returns the version that it now has.
  std::uint64_t raiseVersion(const RemoteSpan& span, const OperationOptions& options = {});

  void ping(const OperationOptions& options = {});

 private:
  wire::Reply call(const wire::Body& body, const OperationOptions& options, std::uint64_t requested_bytes = 0);

  Domain& domain_;
  PeerId peer_;
};

}  // namespace sandloom
