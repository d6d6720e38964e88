// What a caller asks of a peer, from when it was asked until the caller was told how it ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "base/error.h"
#include "network/wire.h"

namespace sandloom {

class Domain;

using Clock = std::chrono::steady_clock;
using PeerId = std::uint64_t;

enum class Priority { kDemand, kPrefetch };

struct OperationOptions {
  std::chrono::milliseconds deadline{2000};
  Priority priority = Priority::kDemand;
};

// How an operation ended: with an error, or well. `reply` is that of a call.
struct Outcome {
  std::optional<Error> error;
  wire::Reply reply = {};
};

// Called once, in the domain's thread, which waits for it: it may start operations, but not wait for any.
using Done = std::function<void(Outcome)>;

// Something to do in the domain's thread.
struct Work {
  virtual ~Work() = default;
  virtual void run(Domain& domain, std::unique_ptr<Work> self) = 0;

  std::unique_ptr<Work> next;
};

struct Operation final : Work {
  enum class Kind { kRead, kWrite, kCall };

  void run(Domain& domain, std::unique_ptr<Work> self) override;

  // Whether doing it twice is the same as doing it once. A page that is half of one write and half of another is nobody's, so
  // only writes of whole pages are; calls are, because the server remembers them by their number.
  bool repeatable() const;

  Kind kind = Kind::kRead;
  PeerId peer = 0;
  OperationOptions options;
  Done done;
  // Of a read or a write.
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::byte* local = nullptr;  // a write only reads from it
  std::size_t bytes = 0;
  // Of a call. The number is given by the domain.
  wire::Request request;

  // How far it is. Touched by the connection alone.
  Clock::time_point due;
  std::multimap<Clock::time_point, Operation*>::iterator deadline;
  std::list<std::unique_ptr<Operation>>::iterator position;
  std::size_t posted_bytes = 0;
  std::size_t done_bytes = 0;
  bool queued = false;
  bool started = false;
  bool retried = false;
};

}  // namespace sandloom
