// Errors on their way to JavaScript.
#pragma once

#include <napi.h>

#include "base/error.h"

namespace sandloom::addon {

// A JavaScript error with `code` and the error's values; made by the factory that setErrorFactory was given, if any.
Napi::Error toJavaScript(Napi::Env env, const Error& error);

// setErrorFactory((code, message, values) => Error)
Napi::Value setErrorFactory(const Napi::CallbackInfo& info);

// Runs a call and throws what it throws as a JavaScript error. No other exception leaves the addon.
template <typename Call>
Napi::Value guard(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const Error& error) {
    throw toJavaScript(env, error);
  } catch (const std::bad_alloc&) {
    throw toJavaScript(env, Error::system("allocation", ENOMEM));
  }
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] { return Function(info); });
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void exportFunction(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<Function>>(exports.Env(), name));
}

}  // namespace sandloom::addon
