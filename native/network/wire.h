// What two servers say to each other beside reads and writes of memory: requests and replies of fixed layout, little-endian, each in
// one message of at most kMaxMessageBytes. What arrives may be anything, so that all of it goes through one bounded reader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"

namespace sandloom {

// Where a server's memory lies, as reads and writes address it.
struct SlabCard {
  std::uint64_t base = 0;  // the remote address of its first byte: 0 or virtual, as the provider wants it
  std::uint64_t key = 0;
  std::uint64_t bytes = 0;
  bool operator==(const SlabCard&) const = default;
};

// All that a client must know of a server. Travels on the control plane.
struct Card {
  std::string provider;
  std::string address;  // numeric
  std::uint16_t port = 0;
  std::uint64_t generation = 0;
  std::vector<SlabCard> slabs;
  bool operator==(const Card&) const = default;
};

namespace wire {

inline constexpr std::size_t kMaxMessageBytes = 256;

// The first message of a connection. The reply's value is the server's generation, its offset 1 if it knows the client, else 0.
struct Hello {
  std::uint64_t client = 0;
  std::uint64_t tenant = 0;
  bool operator==(const Hello&) const = default;
};
// The reply says the slab and the offset.
struct Allocate {
  std::uint64_t bytes = 0;
  bool operator==(const Allocate&) const = default;
};
struct Free {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  bool operator==(const Free&) const = default;
};
// The value of the reply to this and the next is what was there before.
struct FetchAdd {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::uint64_t operand = 0;
  bool operator==(const FetchAdd&) const = default;
};
struct CompareAndSwap {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::uint64_t expected = 0;
  std::uint64_t desired = 0;
  bool operator==(const CompareAndSwap&) const = default;
};
// The value of the reply to this and the next is the span's version, after it was raised.
struct ReadVersion {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  bool operator==(const ReadVersion&) const = default;
};
struct RaiseVersion {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  bool operator==(const RaiseVersion&) const = default;
};
struct Ping {
  bool operator==(const Ping&) const = default;
};

// In the order of their numbers on the wire, from 1.
using Body = std::variant<Hello, Allocate, Free, FetchAdd, CompareAndSwap, ReadVersion, RaiseVersion, Ping>;

struct Request {
  // Unique among a client's requests, also over several connections: one that is asked again has the same.
  std::uint64_t number = 0;
  Body body;
  bool operator==(const Request&) const = default;
};

enum class Status : std::uint16_t { kOk = 0, kBadMessage, kBadRange, kBadRegion, kFull, kQuotaExceeded, kSystemError };

struct Reply {
  std::uint64_t number = 0;
  Status status = Status::kOk;
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::uint64_t value = 0;
  // With kFull and kQuotaExceeded.
  std::uint64_t used_bytes = 0;
  std::uint64_t limit_bytes = 0;
  bool operator==(const Reply&) const = default;
};

struct Message {
  std::array<std::byte, kMaxMessageBytes> bytes;
  std::size_t size = 0;

  std::span<const std::byte> content() const { return std::span(bytes).first(size); }
};

Message encode(const Request& request);
Message encode(const Reply& reply);
// Nothing if it is anything but one whole message of its kind.
std::optional<Request> decodeRequest(std::span<const std::byte> message);
std::optional<Reply> decodeReply(std::span<const std::byte> message);

// What a request that was refused throws at its caller; only for replies whose status is not kOk.
Error toError(const Reply& reply, std::uint64_t requested_bytes);

// Cards as one word of text.
std::string encodeCard(const Card& card);
// Errors: BadMessage.
Card decodeCard(std::string_view text);

}  // namespace wire
}  // namespace sandloom
