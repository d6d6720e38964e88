#include "addon/errors.h"

#include "addon/instance.h"

namespace sandloom::addon {

Napi::Error toJavaScript(Napi::Env env, const Error& error) {
  const Napi::String code = Napi::String::New(env, std::string(codeName(error.code())));
  const Napi::Object values = Napi::Object::New(env);
  for (const auto& [name, value] : error.values()) values.Set(name, value);
  if (!error.errnoName().empty()) values.Set("errno_name", error.errnoName());

  const Napi::FunctionReference& factory = Instance::of(env).error_factory;
  if (!factory.IsEmpty()) {
    const Napi::Value made = factory.Call({code, Napi::String::New(env, error.what()), values});
    if (made.IsObject()) return {env, made};
  }
  Napi::Error plain = Napi::Error::New(env, error.what());
  const Napi::Array names = values.GetPropertyNames();
  for (std::uint32_t index = 0; index < names.Length(); ++index) {
    const Napi::Value name = names[index];
    plain.Value().Set(name, values.Get(name));
  }
  plain.Set("code", code);
  return plain;
}

Napi::Value setErrorFactory(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) throw Error(ErrorCode::kBadArgument, "factory must be a function");
  Instance::of(info.Env()).error_factory = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

}  // namespace sandloom::addon
