// The JavaScript object `Space`.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "addon/errors.h"
#include "addon/instance.h"
#include "memory/space.h"

namespace sandloom::addon {

// Lives until close() or the end of its environment, never shorter: collected earlier, it would give up regions that
// guest code can still reach through the window. While open it keeps the memory that it was given alive.
class SpaceObject : public Napi::ObjectWrap<SpaceObject> {
 public:
  static void define(Napi::Env env);

  explicit SpaceObject(const Napi::CallbackInfo& info);
  ~SpaceObject() override;
  SpaceObject(const SpaceObject&) = delete;
  SpaceObject& operator=(const SpaceObject&) = delete;

 private:
  template <Napi::Value (SpaceObject::*Method)(const Napi::CallbackInfo&)>
  Napi::Value guardedMethod(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&] { return (this->*Method)(info); });
  }

  template <Napi::Value (SpaceObject::*Method)(const Napi::CallbackInfo&)>
  static Napi::ClassPropertyDescriptor<SpaceObject> method(const char* name) {
    return InstanceMethod<&SpaceObject::guardedMethod<Method>>(name);
  }

  Napi::Value rebind(const Napi::CallbackInfo& info);
  Napi::Value mapImage(const Napi::CallbackInfo& info);
  Napi::Value enter(const Napi::CallbackInfo& info);
  Napi::Value reset(const Napi::CallbackInfo& info);
  Napi::Value dirtyPages(const Napi::CallbackInfo& info);
  Napi::Value writeDelta(const Napi::CallbackInfo& info);
  Napi::Value privateBytes(const Napi::CallbackInfo& info);
  Napi::Value attach(const Napi::CallbackInfo& info);
  Napi::Value detach(const Napi::CallbackInfo& info);
  Napi::Value strayWrites(const Napi::CallbackInfo& info);
  Napi::Value attachments(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // Throws StaleMemory if the memory grew since it was last bound. For what depends on the length: pages past a stale
  // one would escape a reset, and leak from one invocation into the next.
  Space& current() const;
  bool isStale() const;

  std::shared_ptr<LiveSpaces> live_spaces_;
  Napi::Reference<Napi::Uint8Array> memory_;
  std::optional<Space> space_;
};

Napi::Value spaceCreate(const Napi::CallbackInfo& info);

}  // namespace sandloom::addon
