// One peer, as a client sees it: what was asked of it, what is under way, and connecting anew when a connection ended.
//
// Its table of operations is the authority, not the completion queue: some providers never report what was under way on a connection
// that broke. Used only in the domain's thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "network/endpoint.h"
#include "network/operation.h"
#include "network/staging_arena.h"

namespace sandloom {

class Connection final : private Endpoint::Owner {
 public:
  Connection(Domain& domain, PeerId id, const Card& card);
  // Every operation that is left fails with FabricPeerLost.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void submit(std::unique_ptr<Operation> operation);
  // Posts what can be posted.
  void pump();
  // An operation's deadline has passed.
  void expire(Operation& operation);
  void onTimer(Clock::time_point now);
  Clock::time_point nextTimer() const { return timer_; }
  // Something waits to be posted that the provider could not take.
  bool stalled() const { return stalled_; }

  bool ready() const { return state_ == State::kReady; }
  std::uint64_t connections() const { return connections_; }

 private:
  enum class State { kWaiting, kConnecting, kGreeting, kReady, kRestarted };

  // A part of a read or write that is under way.
  struct Piece {
    Operation* operation = nullptr;
    std::byte* local = nullptr;
    std::size_t bytes = 0;
    std::optional<StagingArena::Slot> slot;
  };

  void messageArrived(unsigned index, std::span<const std::byte> content) override;
  void messageSent(unsigned index) override;
  void transferDone(unsigned index) override;
  void connected() override;
  void broken(const std::string& why) override;

  void startConnecting();
  void greet();
  void greeted(const wire::Reply& reply);
  void answered(const wire::Reply& reply);
  void lose(const std::string& why);
  void abandon(ErrorCode code, const std::string& why);
  void enqueue(Operation& operation, bool first);
  bool pumpFrom(std::deque<Operation*>& queue);
  bool advance(Operation& operation);
  bool advanceTransfer(Operation& operation);
  bool advanceCall(Operation& operation);
  void finish(Operation& operation, Outcome outcome);
  void fail(Operation& operation, ErrorCode code, const std::string& why);
  unsigned underWay() const { return pieces_under_way_ + static_cast<unsigned>(calls_.size()); }
  std::optional<Error> outOfRange(const Operation& operation) const;
  void returnSlot(Piece& piece);
  void schedule(Clock::duration delay);

  Domain& domain_;
  const PeerId id_;
  const Card card_;
  const SocketAddress address_;
  const std::uint64_t client_id_;  // the server tells clients apart by it, over several connections
  State state_ = State::kWaiting;
  std::unique_ptr<Endpoint> endpoint_;
  Clock::time_point timer_;
  Clock::duration back_off_;
  unsigned failures_ = 0;
  std::uint64_t connections_ = 0;
  std::string last_failure_;

  std::list<std::unique_ptr<Operation>> operations_;
  std::deque<Operation*> demand_;
  std::deque<Operation*> prefetch_;
  std::array<Piece, Endpoint::kTransfers> pieces_;
  unsigned pieces_under_way_ = 0;
  unsigned prefetches_under_way_ = 0;
  std::size_t bytes_under_way_ = 0;
  std::unordered_map<std::uint64_t, Operation*> calls_;  // by number
  std::vector<unsigned> free_sends_;
  std::vector<unsigned> unreceived_;  // buffers that are to be given to the provider again
  std::uint64_t greeting_number_ = 0;
  bool greeting_unsent_ = false;
  bool stalled_ = false;
};

}  // namespace sandloom
