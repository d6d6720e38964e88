#include "memory/region_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace sandloom {
namespace {

// The linear memory of wasm32: no region can be mapped that is larger.
constexpr std::size_t kMaxRegionBytes = 4096 * kMiB;

Error unknownAccount(AccountId id) {
  return {ErrorCode::kBadArgument, "no account " + std::to_string(id) + " is open", {{"account", asValue(id)}}};
}

Error unknownRegion(RegionId id) {
  return {ErrorCode::kBadRegion, "region " + std::to_string(id) + " does not exist, or no longer", {{"region", asValue(id)}}};
}

std::size_t pagesOf(std::size_t bytes) {
  if (bytes == 0 || bytes > kMaxRegionBytes)
    throw Error(ErrorCode::kBadArgument, "a region has from 1 byte to 4 GiB", {{"requested_bytes", asValue(bytes)}});
  return roundUp(bytes, kPageBytes);
}

void requireWithin(std::size_t offset, std::size_t bytes, std::size_t region_bytes) {
  if (offset > region_bytes || bytes > region_bytes - offset)
    throw Error(ErrorCode::kBadArgument, "that reaches past the end of the region",
                {{"offset_bytes", asValue(offset)}, {"requested_bytes", asValue(bytes)}, {"region_bytes", asValue(region_bytes)}});
}

double wallClockMs() {
  return std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

RegionLease::~RegionLease() {
  if (store_ == nullptr) return;
  extent_.reset();
  store_->releaseIfPresent(region_);
}

RegionLease::RegionLease(RegionLease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), region_(other.region_), extent_(std::move(other.extent_)) {}

RegionLease& RegionLease::operator=(RegionLease&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(region_, other.region_);
  std::swap(extent_, other.extent_);
  return *this;
}

RegionStore::Stats RegionStore::stats() const {
  const SlabPool::Stats pool = pool_.stats();
  const std::scoped_lock lock(mutex_);
  return {pool, regions_.size(), accounts_.size()};
}

AccountId RegionStore::openAccount(std::size_t limit_bytes) {
  const std::scoped_lock lock(mutex_);
  const AccountId id = next_account_++;
  accounts_.emplace(id, Account{.limit_bytes = limit_bytes, .regions = {}, .freed = {}});
  return id;
}

std::size_t RegionStore::closeAccount(AccountId id) {
  std::vector<std::shared_ptr<Extent>> freed;  // let go of after the lock
  std::size_t left = 0;
  const std::scoped_lock lock(mutex_);
  for (const RegionId each : account(id).regions) {
    const auto found = regions_.find(each);
    if (!found->second.heap) ++left;
    freed.push_back(std::move(found->second.extent));
    regions_.erase(found);
  }
  accounts_.erase(id);
  return left;
}

RegionStore::AccountStats RegionStore::accountStats(AccountId id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) throw unknownAccount(id);
  const Account& account = found->second;
  return {account.regions.size(), account.used_bytes, account.peak_bytes};
}

std::vector<RegionStore::Freed> RegionStore::takeFreed(AccountId id) {
  const std::scoped_lock lock(mutex_);
  return std::exchange(account(id).freed, {});
}

RegionId RegionStore::allocate(AccountId account_id, std::size_t bytes) {
  return enter(account_id, allocateExtent(account_id, bytes, Content::kZeros));
}

RegionId RegionStore::allocateHeap(AccountId account_id, std::size_t bytes) {
  return enter(account_id, pool_.allocate(pagesOf(bytes)), true);
}

void RegionStore::adopt(RegionId id) {
  const std::scoped_lock lock(mutex_);
  Region& adopted = region(id);
  if (!adopted.heap) return;
  Account& owner = accounts_.at(adopted.account);
  charge(owner, adopted.extent->bytes());
  owner.peak_bytes = std::max(owner.peak_bytes, owner.used_bytes);
  adopted.heap = false;
}

RegionId RegionStore::publish(AccountId account_id, std::size_t bytes, std::span<const Piece> pieces) {
  for (const Piece& piece : pieces) requireWithin(piece.offset, piece.bytes.size(), bytes);
  std::shared_ptr<Extent> extent = allocateExtent(account_id, bytes, Content::kAny);
  std::size_t end = 0;  // of what is written
  const auto clearTo = [&](std::size_t offset) {
    if (offset > end) std::memset(extent->data() + end, 0, offset - end);
    end = std::max(end, offset);
  };
  for (const Piece& piece : pieces) {
    clearTo(piece.offset);
    // Not std::ranges::copy, of which the compiler makes a loop.
    if (!piece.bytes.empty()) std::memcpy(extent->data() + piece.offset, piece.bytes.data(), piece.bytes.size());
    end = std::max(end, piece.offset + piece.bytes.size());
  }
  clearTo(extent->bytes());
  return enter(account_id, std::move(extent));
}

std::shared_ptr<Extent> RegionStore::allocateExtent(AccountId account_id, std::size_t bytes, Content content) {
  const std::size_t rounded_bytes = pagesOf(bytes);
  reserve(account_id, rounded_bytes);
  try {
    // May wait, so not under the lock.
    return content == Content::kZeros ? pool_.allocate(rounded_bytes) : pool_.allocateToOverwrite(rounded_bytes);
  } catch (...) {
    unreserve(account_id, rounded_bytes);
    throw;
  }
}

RegionId RegionStore::enter(AccountId account_id, std::shared_ptr<Extent> extent, bool heap) {
  const std::scoped_lock lock(mutex_);
  Account& owner = account(account_id);  // gone if another thread closed it meanwhile
  const RegionId id = next_region_++;
  owner.regions.insert(id);
  owner.peak_bytes = std::max(owner.peak_bytes, owner.used_bytes);
  regions_.emplace(id, Region{account_id, 1, std::move(extent), heap});
  return id;
}

void RegionStore::reserve(AccountId id, std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  charge(account(id), bytes);
}

void RegionStore::charge(Account& owner, std::size_t bytes) {
  if (bytes > owner.limit_bytes || owner.used_bytes > owner.limit_bytes - bytes)
    throw Error(ErrorCode::kMemoryCapExceeded, "the memory limit of the account does not allow this region",
                {{"requested_bytes", asValue(bytes)},
                 {"limit_bytes", asValue(owner.limit_bytes)},
                 {"used_bytes", asValue(owner.used_bytes)}});
  owner.used_bytes += bytes;
}

void RegionStore::unreserve(AccountId id, std::size_t bytes) noexcept {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(id);
  if (found != accounts_.end()) found->second.used_bytes -= bytes;
}

void RegionStore::retain(RegionId id) {
  const std::scoped_lock lock(mutex_);
  ++region(id).references;
}

bool RegionStore::release(RegionId id) {
  std::shared_ptr<Extent> last;  // let go of after the lock
  const std::scoped_lock lock(mutex_);
  last = dropReference(id, region(id));
  return last != nullptr;
}

void RegionStore::releaseIfPresent(RegionId id) noexcept {
  std::shared_ptr<Extent> last;
  const std::scoped_lock lock(mutex_);
  const auto found = regions_.find(id);
  if (found != regions_.end()) last = dropReference(id, found->second);
}

std::shared_ptr<Extent> RegionStore::dropReference(RegionId id, Region& region) {
  if (--region.references > 0) return nullptr;
  std::shared_ptr<Extent> extent = std::move(region.extent);
  Account& owner = accounts_.at(region.account);
  owner.regions.erase(id);
  if (!region.heap) {
    owner.used_bytes -= extent->bytes();
    owner.freed.push_back({id, wallClockMs()});
  }
  regions_.erase(id);
  return extent;
}

RegionLease RegionStore::lease(RegionId id) {
  const std::scoped_lock lock(mutex_);
  Region& held = region(id);
  ++held.references;
  return {*this, id, held.extent};
}

RegionStore::RegionInfo RegionStore::info(RegionId id) const {
  const std::scoped_lock lock(mutex_);
  const Region& found = region(id);
  return {found.extent->bytes(), found.account, found.references};
}

RegionStore::Physical RegionStore::physical(RegionId id) const {
  const std::scoped_lock lock(mutex_);
  const Extent& extent = *region(id).extent;
  return {extent.slabId(), extent.offset()};
}

void RegionStore::read(RegionId id, std::size_t offset, std::span<std::byte> out) const {
  const std::shared_ptr<Extent> extent = extentFor(id, offset, out.size());
  std::memcpy(out.data(), extent->data() + offset, out.size());
}

// Holds the pages while they are used without the lock.
std::shared_ptr<Extent> RegionStore::extentFor(RegionId id, std::size_t offset, std::size_t bytes) const {
  std::shared_ptr<Extent> extent;
  {
    const std::scoped_lock lock(mutex_);
    extent = region(id).extent;
  }
  requireWithin(offset, bytes, extent->bytes());
  return extent;
}

RegionStore::Account& RegionStore::account(AccountId id) {
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) throw unknownAccount(id);
  return found->second;
}

RegionStore::Region& RegionStore::region(RegionId id) {
  const auto found = regions_.find(id);
  if (found == regions_.end()) throw unknownRegion(id);
  return found->second;
}

const RegionStore::Region& RegionStore::region(RegionId id) const {
  const auto found = regions_.find(id);
  if (found == regions_.end()) throw unknownRegion(id);
  return found->second;
}

}  // namespace sandloom
