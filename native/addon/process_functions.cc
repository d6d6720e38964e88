#include "addon/process_functions.h"

#include <ctime>

#include "addon/errors.h"
#include "memory/process_memory.h"

namespace sandloom::addon {
namespace {

Napi::Value processMemoryOf(const Napi::CallbackInfo& info) {
  const ProcessMemory memory = processMemory();
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pss_bytes", asValue(memory.pss_bytes));
  result.Set("rss_bytes", asValue(memory.rss_bytes));
  result.Set("fds", asValue(memory.fds));
  result.Set("mappings", asValue(memory.mappings));
  return result;
}

// process.threadCpuUsage() counts in ticks of the scheduler: a component of 1 ms has none.
Napi::Value threadCpuMs(const Napi::CallbackInfo& info) {
  timespec used = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return Napi::Number::New(info.Env(), static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6);
}

Napi::Value userfaultfdValue(Napi::Env env, Userfaultfd support) {
  if (support == Userfaultfd::kUserModeOnly) return Napi::String::New(env, "user-mode");
  return Napi::Boolean::New(env, support == Userfaultfd::kFull);
}

Napi::Value capabilitiesOf(const Napi::CallbackInfo& info) {
  const Capabilities found = capabilities();
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pagemap_scan", found.pagemap_scan);
  result.Set("pagemap", found.pagemap);
  result.Set("userfaultfd", userfaultfdValue(info.Env(), found.userfaultfd));
  result.Set("memfd", found.memfd);
  result.Set("shmem_thp", found.shmem_thp);
  result.Set("kernel", found.kernel);
  return result;
}

}  // namespace

void exportProcessFunctions(Napi::Object exports) {
  exportFunction<processMemoryOf>(exports, "processMemory");
  exportFunction<capabilitiesOf>(exports, "capabilities");
  exportFunction<threadCpuMs>(exports, "threadCpuMs");
}

}  // namespace sandloom::addon
