#include "memory/slab_pool.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace sandloom {
namespace {

// Zeroing this much costs less than waking a thread to do it.
constexpr std::size_t kInlineZeroBytes = 32 * kKiB;
// The most that is zeroed before the result becomes available.
constexpr std::size_t kZeroStepBytes = 16 * kMiB;
// How long a freed range waits for somebody who writes over it: components that hand arrays on take some 1 ms each.
constexpr std::chrono::milliseconds kZeroDelay{5};

Placement placementFor(std::size_t bytes) {
  return {bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes, 0};
}

}  // namespace

Extent::Extent(SlabPool& pool, std::shared_ptr<Slab> slab, std::size_t offset, std::size_t bytes)
    : pool_(pool), slab_(std::move(slab)), offset_(offset), bytes_(bytes) {}

Extent::~Extent() {
  pool_.giveBack({std::move(slab_), offset_, bytes_});
}

SlabPool::SlabPool() : zeroer_([this] { zeroLoop(); }) {}

SlabPool::~SlabPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  zeroer_.join();
}

void SlabPool::configure(const Options& options) {
  {
    const std::scoped_lock lock(mutex_);
    options_ = options;
    options_.slab_bytes = std::max(roundUp(options.slab_bytes, kHugePageBytes), kHugePageBytes);
    trimIdle();
  }
  work_.notify_one();
  progress_.notify_all();
}

std::shared_ptr<Extent> SlabPool::allocate(std::size_t bytes) {
  Range range;
  {
    Lock lock(mutex_);
    waitForRoom(lock, bytes);
    used_bytes_ += bytes;
    try {
      std::optional<Range> found = takeReady(bytes);
      range = found ? std::move(*found) : takeCold(lock, bytes);
    } catch (...) {
      used_bytes_ -= bytes;
      throw;
    }
  }
  return extentOf(std::move(range));
}

std::shared_ptr<Extent> SlabPool::allocateToOverwrite(std::size_t bytes) {
  std::optional<Range> range;
  {
    const std::scoped_lock lock(mutex_);
    range = takePending(bytes);
  }
  return range ? extentOf(std::move(*range)) : allocate(bytes);
}

std::shared_ptr<Extent> SlabPool::extentOf(Range range) {
  return std::make_shared<Extent>(*this, std::move(range.slab), range.offset, range.bytes);
}

// The newest of that size: components that hand arrays on free and make one of the same again and again.
std::optional<SlabPool::Range> SlabPool::takePending(std::size_t bytes) {
  const auto found = std::ranges::find(pending_.rbegin(), pending_.rend(), bytes,
                                       [](const Pending& pending) { return pending.range.bytes; });
  if (found == pending_.rend()) return std::nullopt;
  Range range = std::move(found->range);
  pending_.erase(std::next(found).base());
  pending_bytes_ -= bytes;
  used_bytes_ += bytes;
  return range;
}

void SlabPool::waitForRoom(Lock& lock, std::size_t bytes) {
  // Pending bytes are still resident. The zeroing thread always gets on, so this ends.
  const auto later = [&] {
    return used_bytes_ + bytes <= options_.capacity_bytes && used_bytes_ + pending_bytes_ + bytes > options_.capacity_bytes;
  };
  if (later()) {
    ++waiting_;
    work_.notify_one();
    while (later()) progress_.wait(lock);
    --waiting_;
  }
  if (used_bytes_ + bytes > options_.capacity_bytes)
    throw Error(ErrorCode::kFabricFull, "the region store is full",
                {{"requested_bytes", asValue(bytes)},
                 {"limit_bytes", asValue(options_.capacity_bytes)},
                 {"used_bytes", asValue(used_bytes_)}});
}

std::optional<SlabPool::Range> SlabPool::takeReady(std::size_t bytes) {
  for (const auto& [id, slab] : slabs_)
    if (const auto offset = slab->ready.takeBestFit(bytes, placementFor(bytes))) return Range{slab, *offset, bytes};
  return std::nullopt;
}

// Cold memory is made resident by the allocator, large regions too: in the huge pages of the store's own mapping this
// costs a tenth of what faulting the same pages in from a sandbox would (slab.cc has the figures).
SlabPool::Range SlabPool::takeCold(Lock& lock, std::size_t bytes) {
  Range chunk = findCold(bytes);
  const std::size_t rest_bytes = chunk.bytes - bytes;
  promised_bytes_ += rest_bytes;
  lock.unlock();
  chunk.slab->populate(chunk.offset, chunk.bytes);
  lock.lock();
  promised_bytes_ -= rest_bytes;
  chunk.slab->ready.add(chunk.offset + bytes, rest_bytes);
  chunk.bytes = bytes;
  return chunk;
}

// At least `bytes`: a small region takes a whole huge page out of the cold and leaves the rest of it to the next ones.
SlabPool::Range SlabPool::findCold(std::size_t bytes) {
  const bool share = bytes < kHugePageBytes && idleRoom() >= kHugePageBytes;
  const std::size_t wanted = share ? kHugePageBytes : bytes;
  for (const std::size_t size : {wanted, bytes})
    for (const auto& [id, slab] : slabs_)
      if (const auto offset = slab->cold.takeBestFit(size, placementFor(size))) return {slab, *offset, size};
  if (auto mixed = takeMixed(bytes)) return std::move(*mixed);
  const std::shared_ptr<Slab> slab = addSlab(std::max(options_.slab_bytes, roundUp(bytes, kHugePageBytes)));
  slab->cold.remove(0, wanted);
  return {slab, 0, wanted};
}

// Ready and cold ranges that lie next to each other, where neither is enough alone.
std::optional<SlabPool::Range> SlabPool::takeMixed(std::size_t bytes) {
  for (const auto& [id, slab] : slabs_) {
    if (slab->ready.bytes() + slab->cold.bytes() < bytes) continue;
    FreeRanges both = slab->cold;
    for (const auto& [offset, size] : slab->ready.ranges()) both.add(offset, size);
    const auto offset = both.takeBestFit(bytes, placementFor(bytes));
    if (!offset) continue;
    slab->ready.remove(*offset, bytes);
    slab->cold.remove(*offset, bytes);
    return Range{slab, *offset, bytes};
  }
  return std::nullopt;
}

std::shared_ptr<Slab> SlabPool::addSlab(std::size_t bytes) {
  auto slab = std::make_shared<Slab>(next_slab_id_, bytes);
  slabs_.emplace(next_slab_id_++, slab);
  return slab;
}

void SlabPool::giveBack(Range range) noexcept {
  const bool small = range.bytes <= kInlineZeroBytes;
  if (small) range.slab->zero(range.offset, range.bytes);
  {
    const std::scoped_lock lock(mutex_);
    used_bytes_ -= range.bytes;
    if (small && idleRoom() >= range.bytes) {
      range.slab->ready.add(range.offset, range.bytes);
      return;
    }
    pending_bytes_ += range.bytes;
    pending_.push_back({std::move(range), std::chrono::steady_clock::now() + kZeroDelay});
    if (pending_.size() > 1) return;  // the thread knows of the first, and looks again when that is due
  }
  work_.notify_one();
}

SlabPool::Stats SlabPool::stats() const {
  const std::scoped_lock lock(mutex_);
  return {used_bytes_, idleBytes(), pending_bytes_, slabs_.size()};
}

void SlabPool::settle() {
  Lock lock(mutex_);
  ++waiting_;
  work_.notify_one();
  progress_.wait(lock, [this] { return pending_bytes_ == 0; });
  --waiting_;
}

std::size_t SlabPool::idleBytes() const {
  std::size_t total = 0;
  for (const auto& [id, slab] : slabs_) total += slab->ready.bytes();
  return total;
}

std::size_t SlabPool::idleRoom() const {
  const std::size_t taken = idleBytes() + promised_bytes_;
  return options_.idle_bytes > taken ? options_.idle_bytes - taken : 0;
}

// Queues what is above the idle budget: zeroOne gives it back, because there is no room for it.
void SlabPool::trimIdle() {
  std::size_t excess = idleBytes();
  excess = excess > options_.idle_bytes ? excess - options_.idle_bytes : 0;
  for (const auto& [id, slab] : slabs_) {
    while (excess > 0) {
      const auto taken = slab->ready.takeLast(roundUp(excess, kPageBytes));
      if (!taken) break;
      excess -= std::min(excess, taken->second);
      pending_bytes_ += taken->second;
      pending_.push_front({{slab, taken->first, taken->second}, {}});
    }
  }
}

void SlabPool::zeroLoop() {
  Lock lock(mutex_);
  while (true) {
    if (stopping_) return;
    if (pending_.empty()) {
      work_.wait(lock);
    } else if (const auto due = pending_.front().zero_at; waiting_ == 0 && due > std::chrono::steady_clock::now()) {
      work_.wait_until(lock, due);
    } else {
      zeroOne(lock);
      progress_.notify_all();
    }
  }
}

void SlabPool::zeroOne(Lock& lock) {
  Range range = pending_.front().range;
  const std::size_t step = std::min(range.bytes, kZeroStepBytes);
  if (step == range.bytes) {
    pending_.pop_front();
  } else {
    pending_.front().range.offset += step;
    pending_.front().range.bytes -= step;
  }
  const std::size_t kept = std::min(step, roundDown(idleRoom(), kPageBytes));
  promised_bytes_ += kept;
  lock.unlock();
  if (kept > 0) range.slab->zero(range.offset, kept);
  if (kept < step) range.slab->punch(range.offset + kept, step - kept);
  lock.lock();
  promised_bytes_ -= kept;
  pending_bytes_ -= step;
  range.slab->ready.add(range.offset, kept);
  range.slab->cold.add(range.offset + kept, step - kept);
  closeIfUnused(range.slab);
}

void SlabPool::closeIfUnused(const std::shared_ptr<Slab>& slab) {
  const auto unused = [](const Slab& candidate) { return candidate.cold.bytes() == candidate.bytes(); };
  if (!unused(*slab)) return;
  // One slab of the usual size stays, so that a single region that comes and goes does not make and drop a file each time.
  const bool spare = slab->bytes() != options_.slab_bytes ||
                     std::ranges::any_of(slabs_, [&](const auto& entry) {
                       return entry.second != slab && entry.second->bytes() == options_.slab_bytes && unused(*entry.second);
                     });
  if (spare) slabs_.erase(slab->id());
}

}  // namespace sandloom
