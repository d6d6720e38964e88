#include "addon/space_object.h"

#include <cstring>
#include <string>

#include "addon/arguments.h"
#include "addon/process.h"

namespace sandloom::addon {
namespace {

Napi::Uint8Array wholeMemory(const Napi::Value& value) {
  const Napi::Uint8Array memory = bytesArgument(value, "memory");
  if (memory.ByteOffset() != 0 || memory.ByteLength() == 0 || memory.ByteLength() != memory.ArrayBuffer().ByteLength())
    throw Error(ErrorCode::kBadArgument, "memory must view the whole buffer of a WebAssembly.Memory");
  return memory;
}

}  // namespace

void SpaceObject::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(env, "Space",
                                                 {
                                                     method<&SpaceObject::rebind>("rebind"),
                                                     method<&SpaceObject::mapImage>("mapImage"),
                                                     method<&SpaceObject::enter>("enter"),
                                                     method<&SpaceObject::reset>("reset"),
                                                     method<&SpaceObject::dirtyPages>("dirtyPages"),
                                                     method<&SpaceObject::writeDelta>("writeDelta"),
                                                     method<&SpaceObject::privateBytes>("privateBytes"),
                                                     method<&SpaceObject::attach>("attach"),
                                                     method<&SpaceObject::detach>("detach"),
                                                     method<&SpaceObject::strayWrites>("strayWrites"),
                                                     method<&SpaceObject::attachments>("attachments"),
                                                     method<&SpaceObject::close>("close"),
                                                 });
  Instance::of(env).space_constructor = Napi::Persistent(constructor);
}

SpaceObject::SpaceObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SpaceObject>(info), live_spaces_(Instance::of(info.Env()).live_spaces) {
  guard(info.Env(), [&]() -> Napi::Value {
    const Napi::Uint8Array memory = wholeMemory(info[0]);
    const Space::Options options = {.window_offset = sizeOption(info[1], "window_offset"),
                                    .window_bytes = sizeOption(info[1], "window_bytes")};
    const auto bytes = bytesOf(memory);
    space_.emplace(bytes.data(), bytes.size(), options, Process::get().store, PageScanner::ofProcess());
    memory_ = Napi::Persistent(memory);
    return info.Env().Undefined();
  });
  live_spaces_->add(&*space_);
  Ref();
}

SpaceObject::~SpaceObject() {
  if (space_) live_spaces_->remove(&*space_);
}

Space& SpaceObject::current() const {
  if (isStale())
    throw Error(ErrorCode::kStaleMemory, "the memory grew: call rebind(new Uint8Array(memory.buffer)) first");
  return const_cast<SpaceObject*>(this)->space_.value();
}

bool SpaceObject::isStale() const {
  return !memory_.IsEmpty() && memory_.Value().ArrayBuffer().IsDetached();
}

Napi::Value SpaceObject::rebind(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array memory = wholeMemory(info[0]);
  const auto bytes = bytesOf(memory);
  space_->rebind(bytes.data(), bytes.size());
  memory_ = Napi::Persistent(memory);
  return info.Env().Undefined();
}

Napi::Value SpaceObject::mapImage(const Napi::CallbackInfo& info) {
  current().mapImage(Process::get().images.get(sizeArgument(info[0], "image")), booleanArgument(info[1], "untouched"));
  return info.Env().Undefined();
}

Napi::Value SpaceObject::enter(const Napi::CallbackInfo& info) {
  current().enter();
  return info.Env().Undefined();
}

Napi::Value SpaceObject::reset(const Napi::CallbackInfo& info) {
  const Space::ResetSummary summary = current().reset();
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("dirty_pages", asValue(summary.dirty_pages));
  result.Set("tail_bytes", asValue(summary.tail_bytes));
  result.Set("regions_detached", asValue(summary.regions_detached));
  result.Set("scanned", summary.scanned);
  return result;
}

Napi::Value SpaceObject::dirtyPages(const Napi::CallbackInfo& info) {
  const std::vector<std::uint32_t> pages = current().dirtyPages();
  Napi::Uint32Array result = Napi::Uint32Array::New(info.Env(), pages.size());
  if (!pages.empty()) std::memcpy(result.Data(), pages.data(), pages.size() * sizeof(std::uint32_t));
  return result;
}

Napi::Value SpaceObject::writeDelta(const Napi::CallbackInfo& info) {
  const DeltaSummary summary = current().writeDelta(textArgument(info[0], "path"), sizeArgument(info[1], "image_bytes"));
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pages", asValue(summary.pages));
  result.Set("bytes", asValue(summary.bytes));
  return result;
}

Napi::Value SpaceObject::privateBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), asValue(current().privateBytes()));
}

// Attaching and detaching stay inside the window and do not depend on the length, so they work on a memory that grew.
Napi::Value SpaceObject::attach(const Napi::CallbackInfo& info) {
  const std::size_t offset = space_->attach(
      sizeArgument(info[0], "region"), booleanArgument(info[1], "writable"), booleanArgument(info[2], "populate"));
  return Napi::Number::New(info.Env(), asValue(offset));
}

Napi::Value SpaceObject::detach(const Napi::CallbackInfo& info) {
  space_->detach(sizeArgument(info[0], "region"));
  return info.Env().Undefined();
}

Napi::Value SpaceObject::strayWrites(const Napi::CallbackInfo& info) {
  const std::vector<RegionId> regions = space_->strayWrites();
  const Napi::Array result = Napi::Array::New(info.Env(), regions.size());
  for (std::uint32_t index = 0; index < regions.size(); ++index) result.Set(index, asValue(regions[index]));
  return result;
}

Napi::Value SpaceObject::attachments(const Napi::CallbackInfo& info) {
  const std::vector<Space::AttachmentInfo> infos = space_->attachments();
  const Napi::Array result = Napi::Array::New(info.Env(), infos.size());
  for (std::uint32_t index = 0; index < infos.size(); ++index) {
    const Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("region", asValue(infos[index].region));
    entry.Set("offset", asValue(infos[index].offset));
    entry.Set("bytes", asValue(infos[index].bytes));
    entry.Set("writable", infos[index].writable);
    result.Set(index, entry);
  }
  return result;
}

Napi::Value SpaceObject::close(const Napi::CallbackInfo& info) {
  if (memory_.IsEmpty()) return info.Env().Undefined();  // closed before
  current().close();
  memory_.Reset();
  Unref();
  return info.Env().Undefined();
}

Napi::Value spaceCreate(const Napi::CallbackInfo& info) {
  return Instance::of(info.Env()).space_constructor.New({info[0], info[1]});
}

}  // namespace sandloom::addon
