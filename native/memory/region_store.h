// Regions and the accounts that pay for them. One per process; used from every thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "memory/slab_pool.h"

namespace sandloom {

using AccountId = std::uint64_t;
using RegionId = std::uint64_t;

class RegionStore;

// One reference to a region and a hold on its pages, given up on destruction.
class RegionLease {
 public:
  RegionLease(RegionStore& store, RegionId region, std::shared_ptr<Extent> extent)
      : store_(&store), region_(region), extent_(std::move(extent)) {}
  ~RegionLease();
  RegionLease(RegionLease&& other) noexcept;
  RegionLease& operator=(RegionLease&& other) noexcept;
  RegionLease(const RegionLease&) = delete;
  RegionLease& operator=(const RegionLease&) = delete;

  RegionId region() const { return region_; }
  const Extent& extent() const { return *extent_; }

 private:
  RegionStore* store_;
  RegionId region_;
  std::shared_ptr<Extent> extent_;
};

class RegionStore {
 public:
  struct Stats {
    SlabPool::Stats pool;
    std::size_t regions;
    std::size_t accounts;
  };
  struct AccountStats {
    std::size_t regions;
    std::size_t used_bytes;
    std::size_t peak_bytes;
  };
  // When a region was freed, on the wall clock.
  struct Freed {
    RegionId region;
    double at_ms;
  };
  struct RegionInfo {
    std::size_t bytes;
    AccountId account;
    std::size_t references;
  };
  struct Piece {
    std::span<const std::byte> bytes;
    std::size_t offset;  // in the region
  };
  struct Physical {
    std::uint64_t slab;
    std::size_t offset;
  };

  void configure(const SlabPool::Options& options) { pool_.configure(options); }
  Stats stats() const;
  void settle() { pool_.settle(); }

  AccountId openAccount(std::size_t limit_bytes);
  // Frees every region that is left; returns how many, heap left out. Their ids are gone at once, their pages when nobody has them
  // mapped any more. Errors: BadArgument.
  std::size_t closeAccount(AccountId account);
  AccountStats accountStats(AccountId account) const;
  // What was freed in the account since the last call, in that order. Errors: BadArgument.
  std::vector<Freed> takeFreed(AccountId account);

  // Zeroed memory, rounded up to whole pages, with one reference. Errors: BadArgument, MemoryCapExceeded, FabricFull.
  RegionId allocate(AccountId account, std::size_t bytes);
  // The same for a sandbox's own use, as a part of its heap: it goes with the account, which neither pays for it nor tells that
  // it was freed. Errors: BadArgument, FabricFull.
  RegionId allocateHeap(AccountId account, std::size_t bytes);
  // A piece of heap becomes a region like others, which the account pays for; nothing if it is one already. Errors: BadRegion,
  // MemoryCapExceeded.
  void adopt(RegionId region);
  // The following fail with BadRegion if the region is gone.
  void retain(RegionId region);
  bool release(RegionId region);  // true: that was the last reference
  RegionLease lease(RegionId region);
  RegionInfo info(RegionId region) const;
  Physical physical(RegionId region) const;
  // Copies out for the host. Also BadArgument if it reaches past the region.
  void read(RegionId region, std::size_t offset, std::span<std::byte> out) const;
  // A region that holds these pieces, and zeros where there is none; of two that overlap the later one. Errors: as of
  // allocate, and BadArgument if a piece reaches past it.
  RegionId publish(AccountId account, std::size_t bytes, std::span<const Piece> pieces);

 private:
  struct Account {
    std::size_t limit_bytes;
    std::size_t used_bytes = 0;
    std::size_t peak_bytes = 0;
    std::unordered_set<RegionId> regions;
    std::vector<Freed> freed;
  };
  struct Region {
    AccountId account;
    std::size_t references;
    std::shared_ptr<Extent> extent;
    bool heap;
  };

  friend class RegionLease;
  void releaseIfPresent(RegionId region) noexcept;

  Account& account(AccountId id);
  std::shared_ptr<Extent> extentFor(RegionId id, std::size_t offset, std::size_t bytes) const;
  Region& region(RegionId id);
  const Region& region(RegionId id) const;
  enum class Content { kZeros, kAny };
  std::shared_ptr<Extent> allocateExtent(AccountId account, std::size_t bytes, Content content);
  RegionId enter(AccountId account, std::shared_ptr<Extent> extent, bool heap = false);
  void reserve(AccountId account, std::size_t bytes);
  static void charge(Account& owner, std::size_t bytes);
  void unreserve(AccountId account, std::size_t bytes) noexcept;
  // Drops one reference; returns the pages if it was the last, for the caller to let go of outside of the lock.
  std::shared_ptr<Extent> dropReference(RegionId id, Region& region);

  SlabPool pool_;  // first: extents of `regions_` go back to it
  mutable std::mutex mutex_;
  std::unordered_map<AccountId, Account> accounts_;
  std::unordered_map<RegionId, Region> regions_;
  AccountId next_account_ = 1;
  RegionId next_region_ = 1;
};

}  // namespace sandloom
