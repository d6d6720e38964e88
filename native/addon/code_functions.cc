#include "addon/code_functions.h"

// V8's own headers: Node-API knows nothing of compiled WebAssembly. They are those of the Node that runs this: with another one
// the addon is built anew.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <v8.h>
#pragma GCC diagnostic pop

#include <fcntl.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "addon/arguments.h"
#include "addon/errors.h"
#include "base/file_descriptor.h"
#include "base/mapping.h"
#include "base/units.h"
#include "memory/code_file.h"

namespace sandloom::addon {
namespace {

using v8::CompiledWasmModule;

// A napi_value is a Local, by Node's own definition (src/js_native_api_v8.h, V8LocalValueFromJsValue).
static_assert(sizeof(napi_value) == sizeof(v8::Local<v8::Value>));

v8::Local<v8::Value> toV8(napi_value value) {
  v8::Local<v8::Value> local;
  std::memcpy(static_cast<void*>(&local), &value, sizeof value);
  return local;
}

napi_value fromV8(v8::Local<v8::Value> local) {
  napi_value value = nullptr;
  std::memcpy(&value, &local, sizeof value);
  return value;
}

v8::MemorySpan<const std::uint8_t> asV8(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> fromV8(v8::MemorySpan<const std::uint8_t> bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

std::vector<CompiledWasmModule> modulesArgument(const Napi::Value& value) {
  if (!value.IsArray()) throw Error(ErrorCode::kBadArgument, "modules must be an array");
  const auto array = value.As<Napi::Array>();
  std::vector<CompiledWasmModule> modules;
  for (std::uint32_t index = 0; index < array.Length(); ++index) {
    const v8::Local<v8::Value> module = toV8(array.Get(index));
    if (!module->IsWasmModuleObject()) throw Error(ErrorCode::kBadArgument, "modules must be of WebAssembly.Module");
    modules.push_back(module.As<v8::WasmModuleObject>()->GetCompiledModule());
  }
  return modules;
}

std::size_t readLeb(std::span<const std::byte> wasm, std::size_t& at) {
  std::size_t value = 0;
  for (unsigned shift = 0; shift < 35 && at < wasm.size(); shift += 7) {
    const auto byte = std::to_integer<unsigned>(wasm[at++]);
    value |= std::size_t{byte & 0x7FU} << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  throw Error(ErrorCode::kBadArgument, "a module whose sections cannot be read");
}

// How many functions a module has: the first number of its section 3.
std::size_t functionCount(std::span<const std::byte> wasm) {
  constexpr std::size_t kHeaderBytes = 8;
  constexpr auto kFunctionSection = std::byte{3};
  for (std::size_t at = kHeaderBytes; at < wasm.size();) {
    const std::byte section = wasm[at++];
    const std::size_t section_bytes = readLeb(wasm, at);
    if (section == kFunctionSection) return readLeb(wasm, at);
    at += section_bytes;
  }
  return 0;
}

// The end of what V8 wrote says of each function how much it may run before it is optimized: what was left of a budget that was made
// small, so that all that ran is. In another process, what did not run has the usual one.
void resetBudgets(v8::OwnedBuffer& code, std::size_t functions, std::uint32_t budget, std::uint32_t usual_budget) {
  if (code.size < functions * sizeof budget) throw Error(ErrorCode::kBadArgument, "V8 wrote compiled code of an unknown form");
  auto patched = std::make_unique<std::uint8_t[]>(code.size);
  std::memcpy(patched.get(), code.buffer.get(), code.size);
  for (std::size_t at = code.size - functions * sizeof budget; at < code.size; at += sizeof budget) {
    std::uint32_t left = 0;
    std::memcpy(&left, &patched[at], sizeof left);
    if (left > budget) throw Error(ErrorCode::kBadArgument, "V8 wrote compiled code of an unknown form");
    std::memcpy(&patched[at], &usual_budget, sizeof usual_budget);
  }
  code.buffer = std::move(patched);
}

// codeWrite(path | null, modules, {budget, usual_budget}): bytes
Napi::Value codeWrite(const Napi::CallbackInfo& info) {
  const std::optional<std::string> path = textOrNullArgument(info[0], "path");
  const auto budget = static_cast<std::uint32_t>(sizeOption(info[2], "budget"));
  const auto usual_budget = static_cast<std::uint32_t>(sizeOption(info[2], "usual_budget"));
  std::vector<v8::OwnedBuffer> buffers;
  std::vector<ModuleCode> codes;
  std::size_t bytes = 0;
  for (CompiledWasmModule& module : modulesArgument(info[1])) {
    const std::span<const std::byte> wasm = fromV8(module.GetWireBytesRef());
    v8::OwnedBuffer& code = buffers.emplace_back(module.Serialize());
    if (code.size > 0) resetBudgets(code, functionCount(wasm), budget, usual_budget);
    codes.push_back({hashOfModule(wasm), fromV8({code.buffer.get(), code.size})});
    bytes += code.size;
  }
  if (path) writeCodeFile(*path, codes);
  return Napi::Number::New(info.Env(), asValue(bytes));
}

// Files of which modules are parts, each mapped once.
class SourceFiles {
 public:
  std::span<const std::byte> part(const std::string& path, std::size_t offset, std::size_t bytes) {
    auto found = mappings_.find(path);
    if (found == mappings_.end()) {
      const FileDescriptor file = FileDescriptor::open(path, O_RDONLY);
      found = mappings_.emplace(path, Mapping::file(file.get(), file.bytes(), PROT_READ, MAP_PRIVATE, kPageBytes)).first;
    }
    const Mapping& whole = found->second;
    if (offset > whole.bytes() || bytes > whole.bytes() - offset)
      throw Error(ErrorCode::kBadImage, path + " is shorter than the module in it",
                  {{"offset_bytes", asValue(offset)}, {"requested_bytes", asValue(bytes)}, {"file_bytes", asValue(whole.bytes())}});
    return {whole.data() + offset, bytes};
  }

 private:
  std::map<std::string, Mapping> mappings_;
};

// Without code: lazily, so that this takes a millisecond for each megabyte.
Napi::Value compile(Napi::Env env, std::span<const std::byte> wasm) {
  v8::Local<v8::WasmModuleObject> module;
  if (!v8::WasmModuleObject::Compile(v8::Isolate::GetCurrent(), asV8(wasm)).ToLocal(&module)) throw Napi::Error::New(env);
  const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
  deferred.Resolve(fromV8(module));
  return deferred.Promise();
}

// With code. V8 takes or refuses it before this returns; the promise is settled then or later.
Napi::Value compileWith(Napi::Env env, std::span<const std::byte> wasm, std::span<const std::byte> code, bool& used) {
  const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
  v8::WasmModuleCompilation compilation;
  compilation.SetHasCompiledModuleBytes();
  compilation.OnBytesReceived(asV8(wasm).data(), wasm.size());
  compilation.Finish(
      v8::Isolate::GetCurrent(),
      [&](v8::WasmStreaming::ModuleCachingInterface& cache) { used = cache.SetCachedCompiledModuleBytes(asV8(code)); },
      [env, deferred](std::variant<v8::Local<v8::WasmModuleObject>, v8::Local<v8::Value>> outcome) {
        const Napi::HandleScope scope(env);
        if (const auto* module = std::get_if<0>(&outcome)) {
          deferred.Resolve(fromV8(*module));
        } else {
          deferred.Reject(fromV8(std::get<1>(outcome)));
        }
      });
  return deferred.Promise();
}

// modulesCompile([{path, offset, bytes}], code_path | null): {modules: Promise<WebAssembly.Module>[], offered, used}
Napi::Value modulesCompile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) throw Error(ErrorCode::kBadArgument, "sources must be an array");
  const auto sources = info[0].As<Napi::Array>();
  std::optional<CodeFile> code_file;
  if (const auto code_path = textOrNullArgument(info[1], "code_path")) code_file.emplace(*code_path);
  const auto codes = code_file ? code_file->modules() : std::span<const ModuleCode>();
  SourceFiles files;
  const Napi::Array modules = Napi::Array::New(env, sources.Length());
  std::size_t offered_count = 0;
  std::size_t used_count = 0;
  for (std::uint32_t index = 0; index < sources.Length(); ++index) {
    const Napi::Value source = sources.Get(index);
    const auto path = textArgument(source.As<Napi::Object>().Get("path"), "path");
    const auto wasm = files.part(path, sizeOption(source, "offset"), sizeOption(source, "bytes"));
    const ModuleCode found = index < codes.size() ? codes[index] : ModuleCode{};
    if (!found.code.empty()) ++offered_count;
    if (found.code.empty() || found.wasm_hash != hashOfModule(wasm)) {
      modules.Set(index, compile(env, wasm));
      continue;
    }
    bool used = false;
    modules.Set(index, compileWith(env, wasm, found.code, used));
    if (used) ++used_count;
  }
  const Napi::Object result = Napi::Object::New(env);
  result.Set("modules", modules);
  result.Set("offered", asValue(offered_count));
  result.Set("used", asValue(used_count));
  return result;
}

}  // namespace

void exportCodeFunctions(Napi::Object exports) {
  exportFunction<codeWrite>(exports, "codeWrite");
  exportFunction<modulesCompile>(exports, "modulesCompile");
}

}  // namespace sandloom::addon
