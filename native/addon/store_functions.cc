#include "addon/store_functions.h"

#include "addon/arguments.h"
#include "addon/errors.h"
#include "addon/process.h"

namespace sandloom::addon {
namespace {

RegionStore& store() {
  return Process::get().store;
}

Napi::Value number(const Napi::CallbackInfo& info, std::uint64_t value) {
  return Napi::Number::New(info.Env(), asValue(value));
}

Napi::Value storeConfigure(const Napi::CallbackInfo& info) {
  const SlabPool::Options options = {.slab_bytes = sizeOption(info[0], "slab_bytes"),
                                     .capacity_bytes = sizeOption(info[0], "capacity_bytes"),
                                     .idle_bytes = sizeOption(info[0], "idle_bytes")};
  constexpr std::size_t kMaxSlabBytes = 64 * 1024 * kMiB;
  if (options.slab_bytes == 0 || options.slab_bytes > kMaxSlabBytes)
    throw Error(ErrorCode::kBadArgument, "slab_bytes must be from 1 to 64 GiB");
  store().configure(options);
  return info.Env().Undefined();
}

Napi::Value storeStats(const Napi::CallbackInfo& info) {
  const RegionStore::Stats stats = store().stats();
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("regions", asValue(stats.regions));
  result.Set("used_bytes", asValue(stats.pool.used_bytes));
  result.Set("idle_bytes", asValue(stats.pool.idle_bytes));
  result.Set("slabs", asValue(stats.pool.slabs));
  result.Set("accounts", asValue(stats.accounts));
  result.Set("zero_pending_bytes", asValue(stats.pool.zero_pending_bytes));
  return result;
}

Napi::Value accountOpen(const Napi::CallbackInfo& info) {
  return number(info, store().openAccount(sizeArgument(info[0], "limit_bytes")));
}

Napi::Value accountClose(const Napi::CallbackInfo& info) {
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("regions_freed", asValue(store().closeAccount(sizeArgument(info[0], "account"))));
  return result;
}

Napi::Value accountStats(const Napi::CallbackInfo& info) {
  const RegionStore::AccountStats stats = store().accountStats(sizeArgument(info[0], "account"));
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("regions", asValue(stats.regions));
  result.Set("used_bytes", asValue(stats.used_bytes));
  result.Set("peak_bytes", asValue(stats.peak_bytes));
  return result;
}

Napi::Value accountFreed(const Napi::CallbackInfo& info) {
  const std::vector<RegionStore::Freed> freed = store().takeFreed(sizeArgument(info[0], "account"));
  const Napi::Array result = Napi::Array::New(info.Env(), freed.size());
  for (std::uint32_t i = 0; i < freed.size(); ++i) {
    const Napi::Object each = Napi::Object::New(info.Env());
    each.Set("region", asValue(freed[i].region));
    each.Set("at_ms", freed[i].at_ms);
    result.Set(i, each);
  }
  return result;
}

Napi::Value regionAllocate(const Napi::CallbackInfo& info) {
  return number(info, store().allocate(sizeArgument(info[0], "account"), sizeArgument(info[1], "bytes")));
}

Napi::Value regionAllocateHeap(const Napi::CallbackInfo& info) {
  return number(info, store().allocateHeap(sizeArgument(info[0], "account"), sizeArgument(info[1], "bytes")));
}

Napi::Value regionAdopt(const Napi::CallbackInfo& info) {
  store().adopt(sizeArgument(info[0], "region"));
  return info.Env().Undefined();
}

Napi::Value regionRetain(const Napi::CallbackInfo& info) {
  store().retain(sizeArgument(info[0], "region"));
  return info.Env().Undefined();
}

Napi::Value regionRelease(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), store().release(sizeArgument(info[0], "region")));
}

Napi::Value regionInfo(const Napi::CallbackInfo& info) {
  const RegionStore::RegionInfo region = store().info(sizeArgument(info[0], "region"));
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("bytes", asValue(region.bytes));
  result.Set("account", asValue(region.account));
  result.Set("references", asValue(region.references));
  return result;
}

Napi::Value regionRead(const Napi::CallbackInfo& info) {
  store().read(sizeArgument(info[0], "region"), sizeArgument(info[1], "offset"), bytesOf(bytesArgument(info[2], "out")));
  return info.Env().Undefined();
}

// (account, bytes, memory, pieces): each piece is three numbers, its address in the memory, its bytes and its offset in the region.
Napi::Value regionPublish(const Napi::CallbackInfo& info) {
  const std::span<const std::byte> memory = bytesOf(bytesArgument(info[2], "memory"));
  if (!info[3].IsArray()) throw Error(ErrorCode::kBadArgument, "pieces is an array of numbers");
  const Napi::Array numbers = info[3].As<Napi::Array>();
  std::vector<RegionStore::Piece> pieces;
  for (std::uint32_t i = 0; i < numbers.Length(); i += 3) {
    const std::size_t address = sizeArgument(numbers.Get(i), "a piece's address");
    const std::size_t bytes = sizeArgument(numbers.Get(i + 1), "a piece's bytes");
    if (address > memory.size() || bytes > memory.size() - address)
      throw Error(ErrorCode::kBadArgument, "a piece reaches past the end of the memory",
                  {{"address", asValue(address)}, {"requested_bytes", asValue(bytes)}, {"memory_bytes", asValue(memory.size())}});
    pieces.push_back({memory.subspan(address, bytes), sizeArgument(numbers.Get(i + 2), "a piece's offset")});
  }
  return number(info, store().publish(sizeArgument(info[0], "account"), sizeArgument(info[1], "bytes"), pieces));
}

Napi::Value regionPhysical(const Napi::CallbackInfo& info) {
  const RegionStore::Physical physical = store().physical(sizeArgument(info[0], "region"));
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("slab", asValue(physical.slab));
  result.Set("offset", asValue(physical.offset));
  return result;
}

}  // namespace

void exportStoreFunctions(Napi::Object exports) {
  exportFunction<storeConfigure>(exports, "storeConfigure");
  exportFunction<storeStats>(exports, "storeStats");
  exportFunction<accountOpen>(exports, "accountOpen");
  exportFunction<accountClose>(exports, "accountClose");
  exportFunction<accountStats>(exports, "accountStats");
  exportFunction<accountFreed>(exports, "accountFreed");
  exportFunction<regionAllocate>(exports, "regionAllocate");
  exportFunction<regionAllocateHeap>(exports, "regionAllocateHeap");
  exportFunction<regionAdopt>(exports, "regionAdopt");
  exportFunction<regionRetain>(exports, "regionRetain");
  exportFunction<regionRelease>(exports, "regionRelease");
  exportFunction<regionInfo>(exports, "regionInfo");
  exportFunction<regionRead>(exports, "regionRead");
  exportFunction<regionPublish>(exports, "regionPublish");
  exportFunction<regionPhysical>(exports, "regionPhysical");
}

}  // namespace sandloom::addon
