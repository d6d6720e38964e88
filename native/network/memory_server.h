// Memory of this server for others: a slab that is registered once, of which clients get spans. They read and write it by
// themselves; everything else they ask for, and it is done here, in the domain's thread.
//
// The provider checks that what is read and written lies in the slab, not whose it is: clients are trusted, and tenants are told
// apart only in what is asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/units.h"
#include "memory/free_ranges.h"
#include "memory/slab.h"
#include "network/domain.h"

namespace sandloom {

class MemoryServer final : private Service {
 public:
  struct Options {
    std::size_t slab_bytes = 256 * kMiB;  // rounded up to 2 MiB
    std::uint16_t port = 0;               // any
    // Of each tenant that has no quota of its own; nothing: all of the slab.
    std::optional<std::size_t> quota_bytes = {};
    std::unordered_map<std::uint64_t, std::size_t> quotas_bytes = {};  // by tenant
    std::chrono::milliseconds lease{10'000};
    std::size_t max_clients = 1024;
  };
  struct Stats {
    std::size_t clients = 0;
    std::size_t spans = 0;
    std::size_t used_bytes = 0;
    std::size_t unzeroed_bytes = 0;  // freed, not yet zeroed
    std::uint64_t requests = 0;
    std::uint64_t replayed = 0;  // asked again, and not done again
    std::uint64_t garbage = 0;
    std::uint64_t expired_leases = 0;
  };

  // The domain must outlive it. Errors: SystemError.
  MemoryServer(Domain& domain, const Options& options);
  ~MemoryServer();
  MemoryServer(const MemoryServer&) = delete;
  MemoryServer& operator=(const MemoryServer&) = delete;

  const Card& card() const { return card_; }
  Stats stats();

 private:
  struct Client {
    std::uint64_t tenant = 0;
    Clock::time_point lease_until;
    Session* session = nullptr;  // nothing while it is not connected
    std::deque<wire::Reply> answered;
    std::set<std::uint64_t> spans;  // by offset
  };
  struct Span {
    std::size_t bytes;
    std::uint64_t client;
    std::uint64_t tenant;
    std::uint64_t version = 0;
  };

  std::optional<wire::Reply> answer(Session& session, std::span<const std::byte> message) override;
  void ended(Session& session) override;
  Clock::time_point tick(Clock::time_point now) override;

  std::optional<wire::Reply> greet(Session& session, const wire::Request& request, const wire::Hello& hello);
  wire::Reply carryOut(Client& client, std::uint64_t client_id, const wire::Body& body);
  wire::Reply carryOut(Client& client, std::uint64_t client_id, const wire::Allocate& allocate);
  wire::Reply carryOut(Client& client, const wire::Free& free);
  wire::Reply carryOut(Client& client, const wire::FetchAdd& add);
  wire::Reply carryOut(Client& client, const wire::CompareAndSwap& swap);
  wire::Reply carryOut(Client& client, const wire::ReadVersion& read);
  wire::Reply carryOut(Client& client, const wire::RaiseVersion& raise);

  std::size_t quotaOf(std::uint64_t tenant) const;
  std::optional<std::size_t> takeZeroed(std::size_t bytes);
  // The span that starts there, if the tenant may know of it.
  std::map<std::uint64_t, Span>::iterator spanAt(const Client& client, std::uint32_t slab, std::uint64_t offset);
  // The word there, if it lies in a span of the tenant's.
  std::uint64_t* wordAt(const Client& client, std::uint32_t slab, std::uint64_t offset);
  void release(std::map<std::uint64_t, Span>::iterator span);
  void zeroSome(std::size_t max_bytes);
  void expire(std::uint64_t client_id);

  Domain& domain_;
  const Options options_;
  Slab slab_;
  Registration registration_;
  Card card_;

  FreeRanges zeroed_;
  FreeRanges unzeroed_;
  std::map<std::uint64_t, Span> spans_;  // by offset
  std::unordered_map<std::uint64_t, std::size_t> used_bytes_;  // by tenant
  std::unordered_map<std::uint64_t, Client> clients_;
  Stats stats_;
};

}  // namespace sandloom
