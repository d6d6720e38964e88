// The addon's entry: one Instance for each environment, and the functions that src/fabric/native.ts declares.
#include <napi.h>

#include <memory>

#include "addon/code_functions.h"
#include "addon/errors.h"
#include "addon/image_functions.h"
#include "addon/instance.h"
#include "addon/process_functions.h"
#include "addon/space_object.h"
#include "addon/store_functions.h"

namespace sandloom::addon {
namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<Instance>().release());  // deleted by the environment
  // Hooks run before finalizers, in a defined state of the thread: the memory of the sandboxes still exists.
  env.AddCleanupHook([spaces = Instance::of(env).live_spaces] { spaces->abandonAll(); });
  SpaceObject::define(env);
  exportCodeFunctions(exports);
  exportImageFunctions(exports);
  exportStoreFunctions(exports);
  exportProcessFunctions(exports);
  exportFunction<spaceCreate>(exports, "spaceCreate");
  exportFunction<setErrorFactory>(exports, "setErrorFactory");
  return exports;
}

}  // namespace
}  // namespace sandloom::addon

static Napi::Object initializeAddon(Napi::Env env, Napi::Object exports) {
  return sandloom::addon::initialize(env, exports);
}

NODE_API_MODULE(sandloom, initializeAddon)
