// Physical memory for regions: ranges of slabs, zeroed when they are given out.
//
// A fresh memfd page costs about 0.8 ms per MiB to fault in, and zeroing a used one must not be paid by the run that
// frees or allocates it. So freed ranges are zeroed by one thread in the background and kept, up to a budget. That thread
// lets a range lie for a moment: who writes over all of it has it as it is, still in a CPU's cache.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/units.h"
#include "memory/slab.h"

namespace sandloom {

class SlabPool;

// Bytes of a slab that one region owns. Goes back to the pool when the last holder lets go: the region's entry in the
// store, and every Space that has it mapped, so that pages are never reused under a live mapping.
class Extent {
 public:
  Extent(SlabPool& pool, std::shared_ptr<Slab> slab, std::size_t offset, std::size_t bytes);
  ~Extent();
  Extent(const Extent&) = delete;
  Extent& operator=(const Extent&) = delete;

  std::uint64_t slabId() const { return slab_->id(); }
  int fd() const { return slab_->fd(); }
  std::size_t offset() const { return offset_; }
  std::size_t bytes() const { return bytes_; }
  std::byte* data() const { return slab_->data(offset_); }

 private:
  SlabPool& pool_;
  std::shared_ptr<Slab> slab_;
  std::size_t offset_;
  std::size_t bytes_;
};

class SlabPool {
 public:
  struct Options {
    std::size_t slab_bytes = 256 * kMiB;
    std::size_t capacity_bytes = 4096 * kMiB;
    std::size_t idle_bytes = 256 * kMiB;
  };
  struct Stats {
    std::size_t used_bytes = 0;
    std::size_t idle_bytes = 0;          // zeroed and resident
    std::size_t zero_pending_bytes = 0;  // freed, not yet zeroed
    std::size_t slabs = 0;
  };

  SlabPool();
  // Every extent must be gone.
  ~SlabPool();
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  // Slabs that exist keep their size; a smaller idle budget takes effect in the background.
  void configure(const Options& options);

  // `bytes` is a multiple of the page; at least 2 MiB are aligned to 2 MiB. Waits for memory that is being zeroed when
  // the capacity is all used or pending. Errors: FabricFull, SystemError.
  std::shared_ptr<Extent> allocate(std::size_t bytes);
  // The same, but it may hold what somebody else left there: the caller writes over every byte before anybody can read it.
  std::shared_ptr<Extent> allocateToOverwrite(std::size_t bytes);

  Stats stats() const;
  // Blocks until nothing is left to zero. For tests and shutdown.
  void settle();

 private:
  friend class Extent;
  using Lock = std::unique_lock<std::mutex>;

  struct Range {
    std::shared_ptr<Slab> slab;
    std::size_t offset;
    std::size_t bytes;
  };

  struct Pending {
    Range range;
    std::chrono::steady_clock::time_point zero_at;
  };

  std::shared_ptr<Extent> extentOf(Range range);
  std::optional<Range> takePending(std::size_t bytes);
  void giveBack(Range range) noexcept;
  void waitForRoom(Lock& lock, std::size_t bytes);
  std::optional<Range> takeReady(std::size_t bytes);
  std::optional<Range> takeMixed(std::size_t bytes);
  Range takeCold(Lock& lock, std::size_t bytes);
  Range findCold(std::size_t bytes);
  std::shared_ptr<Slab> addSlab(std::size_t bytes);
  std::size_t idleBytes() const;
  std::size_t idleRoom() const;
  void trimIdle();
  void zeroLoop();
  void zeroOne(Lock& lock);
  void closeIfUnused(const std::shared_ptr<Slab>& slab);

  mutable std::mutex mutex_;
  std::condition_variable work_;      // the zeroing thread waits
  std::condition_variable progress_;  // allocators and settle() wait
  Options options_;
  std::map<std::uint64_t, std::shared_ptr<Slab>> slabs_;
  std::deque<Pending> pending_;
  std::size_t used_bytes_ = 0;
  std::size_t pending_bytes_ = 0;
  std::size_t promised_bytes_ = 0;  // being zeroed now, will be idle
  std::uint64_t next_slab_id_ = 1;
  std::size_t waiting_ = 0;  // who waits for memory that is not zeroed yet
  bool stopping_ = false;
  std::thread zeroer_;
};

}  // namespace sandloom
