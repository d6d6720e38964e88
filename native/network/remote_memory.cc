#include "network/remote_memory.h"

namespace sandloom {
namespace {

void checkRange(const RemoteSpan& span, std::uint64_t offset, std::uint64_t bytes) {
  if (offset <= span.bytes && bytes <= span.bytes - offset) return;
  throw Error(ErrorCode::kBadRange, "past the end of the span",
              {{"offset_bytes", asValue(offset)}, {"requested_bytes", asValue(bytes)}, {"limit_bytes", asValue(span.bytes)}});
}

void checkWord(const RemoteSpan& span, std::uint64_t offset) {
  checkRange(span, offset, sizeof(std::uint64_t));
  if ((span.offset + offset) % sizeof(std::uint64_t) != 0) throw Error(ErrorCode::kBadArgument, "a word must be aligned to 8 bytes");
}

}  // namespace

RemoteSpan RemoteMemory::allocate(std::uint64_t bytes, const OperationOptions& options) {
  const wire::Reply reply = call(wire::Allocate{bytes}, options, bytes);
  return {reply.slab, reply.offset, reply.value};
}

void RemoteMemory::free(const RemoteSpan& span, const OperationOptions& options) {
  call(wire::Free{span.slab, span.offset}, options);
}

void RemoteMemory::read(const RemoteSpan& span, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options) {
  checkRange(span, offset, out.size());
  if (!out.empty()) domain_.read(peer_, span.slab, span.offset + offset, out, options);
}

void RemoteMemory::write(const RemoteSpan& span, std::uint64_t offset, std::span<const std::byte> in,
                         const OperationOptions& options) {
  checkRange(span, offset, in.size());
  if (!in.empty()) domain_.write(peer_, span.slab, span.offset + offset, in, options);
}

std::uint64_t RemoteMemory::fetchAdd(const RemoteSpan& span, std::uint64_t offset, std::uint64_t operand,
                                     const OperationOptions& options) {
  checkWord(span, offset);
  return call(wire::FetchAdd{span.slab, span.offset + offset, operand}, options).value;
}

std::uint64_t RemoteMemory::compareAndSwap(const RemoteSpan& span, std::uint64_t offset, std::uint64_t expected,
                                           std::uint64_t desired, const OperationOptions& options) {
  checkWord(span, offset);
  return call(wire::CompareAndSwap{span.slab, span.offset + offset, expected, desired}, options).value;
}

std::uint64_t RemoteMemory::version(const RemoteSpan& span, const OperationOptions& options) {
  return call(wire::ReadVersion{span.slab, span.offset}, options).value;
}

std::uint64_t RemoteMemory::raiseVersion(const RemoteSpan& span, const OperationOptions& options) {
  return call(wire::RaiseVersion{span.slab, span.offset}, options).value;
}

void RemoteMemory::ping(const OperationOptions& options) {
  call(wire::Ping{}, options);
}

wire::Reply RemoteMemory::call(const wire::Body& body, const OperationOptions& options, std::uint64_t requested_bytes) {
  wire::Reply reply = domain_.call(peer_, body, options);
  if (reply.status != wire::Status::kOk) throw wire::toError(reply, requested_bytes);
  return reply;
}

}  // namespace sandloom
