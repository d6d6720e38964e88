#include "network/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "network/domain.h"
#include "network/random_number.h"

namespace sandloom {
namespace {

constexpr std::size_t kMaxBytesUnderWay = 8 * kMiB;
constexpr unsigned kMaxPrefetches = Endpoint::kTransfers / 2;
constexpr std::chrono::milliseconds kConnectDeadline{2000};
constexpr std::chrono::milliseconds kFirstBackOff{10};
constexpr std::chrono::milliseconds kLongestBackOff{1000};
// After so many attempts in a row the next is only made when somebody asks for something.
constexpr unsigned kUnaskedAttempts = 8;

}  // namespace

bool Operation::repeatable() const {
  switch (kind) {
    case Kind::kRead:
    case Kind::kCall:
      return true;
    case Kind::kWrite:
      return offset % kPageBytes == 0 && bytes % kPageBytes == 0;
  }
  return false;
}

Connection::Connection(Domain& domain, PeerId id, const Card& card)
    : domain_(domain), id_(id), card_(card), address_(SocketAddress::of(card.address, card.port)), client_id_(randomNumber()), back_off_(kFirstBackOff) {
  startConnecting();
}

Connection::~Connection() {
  if (endpoint_ != nullptr) domain_.bury(std::move(endpoint_));
  for (Piece& piece : pieces_) returnSlot(piece);
  abandon(ErrorCode::kFabricPeerLost, "the peer was given up");
}

void Connection::submit(std::unique_ptr<Operation> submitted) {
  operations_.push_front(std::move(submitted));
  Operation& operation = *operations_.front();
  operation.position = operations_.begin();
  operation.deadline = domain_.addDeadline(operation);
  if (auto error = outOfRange(operation)) return finish(operation, {.error = std::move(error)});
  if (state_ == State::kRestarted) return fail(operation, ErrorCode::kFabricPeerRestarted, last_failure_);
  enqueue(operation, false);
  if (state_ == State::kWaiting && failures_ >= kUnaskedAttempts) timer_ = std::min(timer_, Clock::now() + back_off_);
}

std::optional<Error> Connection::outOfRange(const Operation& operation) const {
  if (operation.kind == Operation::Kind::kCall) return std::nullopt;
  const std::uint64_t slab_bytes = operation.slab < card_.slabs.size() ? card_.slabs[operation.slab].bytes : 0;
  if (operation.bytes > 0 && operation.offset <= slab_bytes && operation.bytes <= slab_bytes - operation.offset) return std::nullopt;
  return Error(ErrorCode::kBadRange, "out of the server's memory",
               {{"offset_bytes", asValue(operation.offset)},
                {"requested_bytes", asValue(operation.bytes)},
                {"limit_bytes", asValue(slab_bytes)}});
}

void Connection::enqueue(Operation& operation, bool first) {
  auto& queue = operation.options.priority == Priority::kDemand ? demand_ : prefetch_;
  if (first)
    queue.push_front(&operation);
  else
    queue.push_back(&operation);
  operation.queued = true;
}

// --- Connecting ---

void Connection::startConnecting() {
  try {
    endpoint_ = domain_.openEndpoint(*domain_.objects().infoTo(address_), *this);
    endpoint_->connect(address_);
    state_ = State::kConnecting;
    schedule(kConnectDeadline);
  } catch (const Error& error) {
    lose(error.what());
  }
}

void Connection::connected() {
  if (state_ != State::kConnecting) return;
  state_ = State::kGreeting;
  free_sends_.clear();
  for (unsigned index = 0; index < Endpoint::kMessages; ++index) free_sends_.push_back(index);
  unreceived_.clear();
  schedule(kConnectDeadline);
  greeting_number_ = domain_.nextNumber();
  greeting_unsent_ = true;
  greet();
}

void Connection::greet() {
  const wire::Request hello = {greeting_number_, wire::Hello{client_id_, domain_.tenant()}};
  greeting_unsent_ = !endpoint_->send(free_sends_.back(), wire::encode(hello).content());
  if (!greeting_unsent_) free_sends_.pop_back();
}

void Connection::greeted(const wire::Reply& reply) {
  if (reply.status != wire::Status::kOk) return lose("the server refused the connection");
  const bool restarted = reply.value != card_.generation;
  // A server that no longer knows a client has given what that one held to others.
  const bool forgotten = connections_ > 0 && reply.offset == 0;
  if (restarted || forgotten) {
    state_ = State::kRestarted;
    last_failure_ = restarted ? "the server was started anew: what it held is gone" : "the lease has ended: what was held is gone";
    timer_ = Clock::time_point::max();
    domain_.bury(std::move(endpoint_));
    return abandon(ErrorCode::kFabricPeerRestarted, last_failure_);
  }
  state_ = State::kReady;
  failures_ = 0;
  back_off_ = kFirstBackOff;
  ++connections_;
  schedule(domain_.heartbeat());
}

// The connection is no more. What was under way on it may be tried once more on the next one, if it was not before; if there was
// none, what waits for it need not wait any longer.
void Connection::lose(const std::string& why) {
  const bool was_ready = state_ == State::kReady;
  if (was_ready) domain_.countLost();
  last_failure_ = why;
  state_ = State::kWaiting;
  if (endpoint_ != nullptr) domain_.bury(std::move(endpoint_));
  for (Piece& piece : pieces_) returnSlot(piece);
  pieces_.fill({});
  pieces_under_way_ = prefetches_under_way_ = 0;
  bytes_under_way_ = 0;
  calls_.clear();
  stalled_ = greeting_unsent_ = false;
  if (was_ready) {
    timer_ = Clock::now();  // at once: a server that lost one connection mostly takes the next
  } else {
    ++failures_;
    schedule(back_off_);
    back_off_ = std::min<Clock::duration>(2 * back_off_, kLongestBackOff);
    if (failures_ >= kUnaskedAttempts) timer_ = Clock::time_point::max();
  }
  std::vector<Operation*> given_up;
  for (const auto& operation : operations_) {
    const bool again = was_ready && (!operation->started || (operation->repeatable() && !operation->retried));
    if (!again) {
      given_up.push_back(operation.get());
    } else if (operation->started) {
      operation->retried = true;
      operation->started = false;
      operation->posted_bytes = operation->done_bytes = 0;
      if (!operation->queued) enqueue(*operation, true);
    }
  }
  for (Operation* operation : given_up) fail(*operation, ErrorCode::kFabricPeerLost, why);
}

void Connection::broken(const std::string& why) {
  lose(why);
}

void Connection::abandon(ErrorCode code, const std::string& why) {
  pieces_.fill({});
  calls_.clear();
  while (!operations_.empty()) fail(*operations_.back(), code, why);
}

void Connection::schedule(Clock::duration delay) {
  timer_ = Clock::now() + delay;
}

void Connection::onTimer(Clock::time_point now) {
  if (now < timer_) return;
  switch (state_) {
    case State::kWaiting:
      return startConnecting();
    case State::kConnecting:
    case State::kGreeting:
      return lose("the server does not answer");
    case State::kReady: {
      schedule(domain_.heartbeat());
      auto ping = std::make_unique<Operation>();
      ping->kind = Operation::Kind::kCall;
      ping->peer = id_;
      ping->request = {domain_.nextNumber(), wire::Ping{}};
      ping->due = now + ping->options.deadline;
      ping->done = [](const Outcome&) {};  // a failure ends the connection, which is what the ping is for
      return submit(std::move(ping));
    }
    case State::kRestarted:
      timer_ = Clock::time_point::max();
  }
}

// --- Operations ---

void Connection::pump() {
  stalled_ = false;
  if (endpoint_ == nullptr) return;
  try {
    if (greeting_unsent_) greet();
    std::erase_if(unreceived_, [this](unsigned index) { return endpoint_->receiveAgain(index); });
    if (state_ == State::kReady && pumpFrom(demand_)) pumpFrom(prefetch_);
    stalled_ = stalled_ || greeting_unsent_ || !unreceived_.empty();
  } catch (const Error& error) {
    lose(error.what());
  }
}

// True when all of the queue was posted.
bool Connection::pumpFrom(std::deque<Operation*>& queue) {
  while (!queue.empty()) {
    Operation& operation = *queue.front();
    if (!advance(operation)) return false;
    queue.pop_front();
    operation.queued = false;
  }
  return true;
}

// True when all of it was posted.
bool Connection::advance(Operation& operation) {
  if (underWay() >= Endpoint::kTransfers) return false;
  return operation.kind == Operation::Kind::kCall ? advanceCall(operation) : advanceTransfer(operation);
}

bool Connection::advanceCall(Operation& operation) {
  if (free_sends_.empty()) return false;
  const wire::Message message = wire::encode(operation.request);
  if (!endpoint_->send(free_sends_.back(), message.content())) {
    stalled_ = true;
    return false;
  }
  free_sends_.pop_back();
  operation.started = true;
  calls_.emplace(operation.request.number, &operation);
  return true;
}

bool Connection::advanceTransfer(Operation& operation) {
  const SlabCard& slab = card_.slabs[operation.slab];
  const bool write = operation.kind == Operation::Kind::kWrite;
  const bool prefetch = operation.options.priority == Priority::kPrefetch;
  while (operation.posted_bytes < operation.bytes) {
    if (underWay() >= Endpoint::kTransfers || (prefetch && prefetches_under_way_ >= kMaxPrefetches)) return false;
    Piece piece;
    piece.operation = &operation;
    piece.bytes = std::min(operation.bytes - operation.posted_bytes, domain_.maxTransferBytes());
    piece.local = operation.local + operation.posted_bytes;
    if (bytes_under_way_ + piece.bytes > kMaxBytesUnderWay) return false;
    std::byte* memory = piece.local;
    if (StagingArena* arena = domain_.arena(); arena != nullptr) {
      piece.slot = arena->take(piece.bytes);
      if (!piece.slot) return false;
      memory = piece.slot->data;
      if (write) std::memcpy(memory, piece.local, piece.bytes);
    }
    const auto free = std::ranges::find(pieces_, nullptr, &Piece::operation);
    const bool posted = endpoint_->post({.index = static_cast<unsigned>(free - pieces_.begin()),
                                         .write = write,
                                         .local = {memory, piece.bytes},
                                         .descriptor = domain_.arenaDescriptor(),
                                         .remote_address = slab.base + operation.offset + operation.posted_bytes,
                                         .key = slab.key});
    if (!posted) {
      returnSlot(piece);
      stalled_ = true;
      return false;
    }
    *free = piece;
    operation.started = true;
    operation.posted_bytes += piece.bytes;
    bytes_under_way_ += piece.bytes;
    ++pieces_under_way_;
    if (prefetch) ++prefetches_under_way_;
  }
  return true;
}

void Connection::transferDone(unsigned index) {
  Piece piece = std::exchange(pieces_[index], {});
  if (piece.operation == nullptr) return;
  Operation& operation = *piece.operation;
  if (piece.slot && operation.kind == Operation::Kind::kRead) std::memcpy(piece.local, piece.slot->data, piece.bytes);
  returnSlot(piece);
  bytes_under_way_ -= piece.bytes;
  --pieces_under_way_;
  if (operation.options.priority == Priority::kPrefetch) --prefetches_under_way_;
  operation.done_bytes += piece.bytes;
  if (operation.done_bytes == operation.bytes) finish(operation, {});
}

void Connection::messageSent(unsigned index) {
  free_sends_.push_back(index);
}

void Connection::messageArrived(unsigned index, std::span<const std::byte> content) {
  const auto reply = wire::decodeReply(content);
  unreceived_.push_back(index);
  if (!reply) return lose("the server sent something that is no reply");
  if (state_ == State::kGreeting && reply->number == greeting_number_) return greeted(*reply);
  answered(*reply);
}

void Connection::answered(const wire::Reply& reply) {
  const auto found = calls_.find(reply.number);
  if (found == calls_.end()) return;
  Operation& operation = *found->second;
  calls_.erase(found);
  finish(operation, {.error = {}, .reply = reply});
}

void Connection::expire(Operation& operation) {
  const bool under_way = operation.started;
  const auto deadline_ms = operation.options.deadline.count();
  // Taken out first, so that it is not tried again: but its memory may be written to until the endpoint is closed.
  Outcome outcome = {.error = Error(ErrorCode::kFabricTimedOut,
                                    "no answer from the server within " + std::to_string(deadline_ms) + " ms",
                                    {{"deadline_ms", asValue(deadline_ms)}})};
  if (!under_way) return finish(operation, std::move(outcome));
  if (endpoint_ != nullptr) domain_.bury(std::move(endpoint_));
  finish(operation, std::move(outcome));
  lose("the server did not answer in time");
}

void Connection::fail(Operation& operation, ErrorCode code, const std::string& why) {
  finish(operation, {.error = Error(code, why)});
}

void Connection::finish(Operation& operation, Outcome outcome) {
  domain_.removeDeadline(operation);
  if (operation.queued) {
    auto& queue = operation.options.priority == Priority::kDemand ? demand_ : prefetch_;
    queue.erase(std::ranges::find(queue, &operation));
  }
  const std::unique_ptr<Operation> last = std::move(*operation.position);
  operations_.erase(last->position);
  last->done(std::move(outcome));
}

void Connection::returnSlot(Piece& piece) {
  if (piece.slot) domain_.arena()->giveBack(*std::exchange(piece.slot, std::nullopt));
}

}  // namespace sandloom
