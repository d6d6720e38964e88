// What one environment (the main thread or a worker thread) has of the addon. Nothing else here is per thread; what is
// per process is in process.h.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_set>

#include "memory/space.h"

namespace sandloom::addon {

// The spaces of an environment, so that they can give up their regions when it ends, whatever state it ends in.
class LiveSpaces {
 public:
  void add(Space* space) { spaces_.insert(space); }
  void remove(Space* space) { spaces_.erase(space); }
  void abandonAll() {
    for (Space* space : spaces_) space->abandon();
  }

 private:
  std::unordered_set<Space*> spaces_;
};

struct Instance {
  static Instance& of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }

  Napi::FunctionReference space_constructor;
  Napi::FunctionReference error_factory;
  std::shared_ptr<LiveSpaces> live_spaces = std::make_shared<LiveSpaces>();
};

}  // namespace sandloom::addon
