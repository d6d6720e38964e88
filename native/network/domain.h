// The fabric of one process: one thread that owns every libfabric object, as a client of other servers and as a server.
//
// Others queue what they want and are called back in that thread, or wait. Nobody else calls libfabric once the domain is open.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/units.h"
#include "network/connection.h"
#include "network/endpoint.h"
#include "network/operation.h"
#include "network/provider.h"
#include "network/staging_arena.h"
#include "network/work_queue.h"

namespace sandloom {

// A client, as a server sees it.
class Session;

// What answers the requests of clients. Called in the domain's thread.
class Service {
 public:
  // The reply to one message; nothing: the message is garbage, and the connection is closed.
  virtual std::optional<wire::Reply> answer(Session& session, std::span<const std::byte> message) = 0;
  virtual void ended(Session& session) = 0;
  // Does what is due or waits to be done; when to be called again at the latest.
  virtual Clock::time_point tick(Clock::time_point now) = 0;

 protected:
  ~Service() = default;
};

class Session final : private Endpoint::Owner {
 public:
  Session(Domain& domain, Service& service) : domain_(domain), service_(service) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The service's own: who it is, once the client has said so.
  std::uint64_t client = 0;

 private:
  friend class Domain;

  void messageArrived(unsigned index, std::span<const std::byte> content) override;
  void messageSent(unsigned index) override;
  void transferDone(unsigned) override {}
  void connected() override {}
  void broken(const std::string& why) override;
  // Sends and receives that the provider could not take before.
  void pump();

  Domain& domain_;
  Service& service_;
  std::unique_ptr<Endpoint> endpoint_;
  std::vector<std::pair<unsigned, wire::Message>> unsent_;
  std::vector<unsigned> unreceived_;
};

class Domain {
 public:
  struct Options {
    // Of this server, numeric; what is listened on is bound to it.
    std::string address = "127.0.0.1";
    // Only this provider; empty: the best that there is.
    std::string provider = {};
    // Who pays for what is allocated on other servers.
    std::uint64_t tenant = 0;
    // How long to look for completions before sleeping; none where there are so few CPUs that somebody would wait for this one.
    std::optional<std::chrono::microseconds> spin = {};
    // Transfers go through registered memory even where the provider takes any.
    bool always_stage = false;
    // How often a peer is told that this is still here: well within a lease, which any message renews.
    std::chrono::milliseconds heartbeat{3000};
    // Peers and clients at once.
    unsigned max_connections = 128;
  };
  struct Stats {
    std::uint64_t turns = 0;   // of the thread's loop
    std::uint64_t sleeps = 0;
    std::uint64_t connections = 0;  // made to peers, all in all
    std::uint64_t lost = 0;         // connections to peers that ended
    std::uint64_t sessions = 0;     // of clients, now
    std::uint64_t refused_sessions = 0;
  };

  // Errors: SystemError if there is no libfabric, or no provider opens on the address; BadArgument.
  explicit Domain(const Options& options);
  // Every operation that is under way fails with FabricPeerLost.
  ~Domain();
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  const std::string& provider() const { return objects_.provider; }
  const std::vector<std::pair<std::string, std::string>>& refusedProviders() const { return objects_.refused; }
  const std::string& address() const { return options_.address; }
  Stats stats() const;

  // Connecting starts at once; what is asked meanwhile waits for it. Errors: BadArgument if the card names another provider.
  PeerId addPeer(const Card& card);
  // Fails what is under way with FabricPeerLost.
  void removePeer(PeerId peer);

  // The memory must stay until `done` was called. Errors, to `done`: BadRange, BadRegion if there is no such peer, FabricTimedOut,
  // FabricPeerLost, FabricPeerRestarted.
  void read(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options, Done done);
  // Done when the peer's memory has all of it. Errors, to `done`: as of read.
  void write(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<const std::byte> in, const OperationOptions& options,
             Done done);
  // Errors, to `done`: as of read, but for BadRange; a reply of any status is none.
  void call(PeerId peer, const wire::Body& body, const OperationOptions& options, Done done);

  // The same for a thread that waits; not for the domain's own. Errors are thrown.
  void read(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options = {});
  void write(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<const std::byte> in,
             const OperationOptions& options = {});
  wire::Reply call(PeerId peer, const wire::Body& body, const OperationOptions& options = {});

  // Runs `task` in the domain's thread and waits for it. What it throws is thrown here.
  void runInside(const std::function<void()>& task);

  // --- Only in the domain's thread ---

  // Accepts clients; the port that was given, or any if 0. Errors: SystemError.
  std::uint16_t listen(Service& service, std::uint16_t port);
  // No more clients; those that there are end.
  void stopListening();
  void endSession(Session& session);
  // The service is called again at this moment, if not before.
  void tickBy(Clock::time_point moment) { service_moment_ = std::min(service_moment_, moment); }

  const FabricObjects& objects() const { return objects_; }
  std::unique_ptr<Endpoint> openEndpoint(fi_info& info, Endpoint::Owner& owner);
  // Closes the endpoint now, and keeps what its completions may still name.
  void bury(std::unique_ptr<Endpoint> endpoint);
  std::multimap<Clock::time_point, Operation*>::iterator addDeadline(Operation& operation);
  void removeDeadline(Operation& operation) { deadlines_.erase(operation.deadline); }
  // Nothing where the provider reads and writes any memory.
  StagingArena* arena() { return arena_ ? &*arena_ : nullptr; }
  void* arenaDescriptor() const { return arena_registration_.descriptor(); }
  std::size_t maxTransferBytes() const { return max_transfer_bytes_; }
  std::uint64_t tenant() const { return options_.tenant; }
  std::chrono::milliseconds heartbeat() const { return options_.heartbeat; }
  void countLost() { counters_.lost.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t nextNumber() { return next_number_++; }
  void submit(std::unique_ptr<Operation> operation);

 private:
  struct Buried {
    std::unique_ptr<Endpoint> endpoint;
    Clock::time_point until;
  };

  void start(std::unique_ptr<Operation> operation);
  void loop();
  bool takeWork();
  bool readCompletions();
  bool readEvents();
  bool readEvent(int timeout_ms);
  void settleEvents(bool found_something);
  void handleEvent(std::uint32_t event, const fi_eq_cm_entry& entry);
  void acceptClient(fi_info* info);
  void pumpAll();
  void handleTimers(Clock::time_point now);
  void sleep();
  Clock::time_point nextMoment() const;
  void close();
  Endpoint::Owner* ownerOf(const fid* id) const;

  const Options options_;
  std::chrono::microseconds spin_;
  FabricObjects objects_;
  Fid<fid_eq> events_;
  Fid<fid_cq> completions_;
  bool wakes_by_events_ = false;
  bool woken_for_events_ = false;
  unsigned futile_wakes_ = 0;
  int events_fd_ = -1;
  int completions_fd_ = -1;
  std::size_t max_transfer_bytes_ = 0;
  std::optional<StagingArena> arena_;
  Registration arena_registration_;

  WorkQueue<Work> queue_;
  std::unordered_map<const fid*, Endpoint*> endpoints_;
  std::vector<Buried> buried_;
  std::multimap<Clock::time_point, Operation*> deadlines_;
  std::unordered_map<PeerId, std::unique_ptr<Connection>> peers_;
  Fid<fid_pep> listener_;
  Service* service_ = nullptr;
  std::vector<std::unique_ptr<Session>> sessions_;
  Clock::time_point service_moment_ = Clock::time_point::max();
  Clock::time_point timers_at_;
  Clock::time_point spin_until_;
  std::atomic<std::uint64_t> next_number_ = 1;
  std::atomic<PeerId> next_peer_ = 1;
  std::atomic<bool> stopping_ = false;

  struct Counters {
    std::atomic<std::uint64_t> turns = 0;
    std::atomic<std::uint64_t> sleeps = 0;
    std::atomic<std::uint64_t> connections = 0;
    std::atomic<std::uint64_t> lost = 0;
    std::atomic<std::uint64_t> sessions = 0;
    std::atomic<std::uint64_t> refused_sessions = 0;
  };
  Counters counters_;
  std::thread thread_;
};

}  // namespace sandloom
