#include "addon/arguments.h"

#include <cmath>

#include "base/error.h"

namespace sandloom::addon {
namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;

[[noreturn]] void refuse(const char* name, const char* expected) {
  throw Error(ErrorCode::kBadArgument, std::string(name) + " must be " + expected);
}

}  // namespace

std::uint64_t sizeArgument(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(name, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= kMaxSafeInteger) || std::floor(number) != number)
    refuse(name, "an integer from 0 to 2^53 - 1");
  return static_cast<std::uint64_t>(number);
}

std::uint64_t sizeOption(const Napi::Value& options, const char* name) {
  if (!options.IsObject()) refuse("options", "an object");
  return sizeArgument(options.As<Napi::Object>().Get(name), name);
}

bool booleanArgument(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) refuse(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string textArgument(const Napi::Value& value, const char* name) {
  if (!value.IsString()) refuse(name, "a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.empty() || text.find('\0') != std::string::npos) refuse(name, "a non-empty string without NUL");
  return text;
}

std::optional<std::string> textOrNullArgument(const Napi::Value& value, const char* name) {
  if (value.IsNull()) return std::nullopt;
  return textArgument(value, name);
}

Napi::Uint8Array bytesArgument(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    refuse(name, "a Uint8Array");
  return value.As<Napi::Uint8Array>();
}

std::span<std::byte> bytesOf(Napi::Uint8Array array) {
  return std::as_writable_bytes(std::span(array.Data(), array.ByteLength()));
}

}  // namespace sandloom::addon
