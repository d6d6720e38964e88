// What other threads give to one: a queue without locks for many producers and one consumer, and a way to wake that one.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace sandloom {

// The items have a member `next`, a unique_ptr, that the queue uses while it has them.
template <typename Item>
class WorkQueue {
 public:
  WorkQueue() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_.valid()) throw Error::system("eventfd");
  }
  // One by one: a chain of owners that is let go of at its head is destroyed by recursion.
  ~WorkQueue() {
    for (auto item = takeAll(); item != nullptr;) item = std::move(item->next);
  }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void push(std::unique_ptr<Item> item) {
    Item* added = item.release();
    Item* first = first_.load(std::memory_order_relaxed);
    do {
      added->next.release();
      added->next.reset(first);
    } while (!first_.compare_exchange_weak(first, added, std::memory_order_seq_cst, std::memory_order_relaxed));
    // Either this sees that the consumer is about to sleep, or the consumer sees the item: both orders are sequential.
    if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false)) wake();
  }

  // The consumer's. A list in the order of pushing.
  std::unique_ptr<Item> takeAll() {
    std::unique_ptr<Item> newest(first_.exchange(nullptr, std::memory_order_acquire));
    std::unique_ptr<Item> oldest;
    while (newest != nullptr) {
      std::unique_ptr<Item> older = std::move(newest->next);
      newest->next = std::move(oldest);
      oldest = std::move(newest);
      newest = std::move(older);
    }
    return oldest;
  }

  // Before the consumer waits for descriptor(); false: there is something to take. awake() follows in any case.
  bool prepareToSleep() {
    sleeping_.store(true, std::memory_order_seq_cst);
    return first_.load(std::memory_order_seq_cst) == nullptr;
  }
  void awake() {
    if (sleeping_.exchange(false)) return;
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
  }
  int descriptor() const { return wake_.get(); }

 private:
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(wake_.get(), &one, sizeof one);
  }

  FileDescriptor wake_;
  std::atomic<Item*> first_ = nullptr;
  std::atomic<bool> sleeping_ = false;
};

}  // namespace sandloom
