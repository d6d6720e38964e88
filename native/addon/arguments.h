// Checks of what JavaScript passes in: every argument goes through here, and what comes out needs no further check of
// its type. All fail with BadArgument, which names the argument.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sandloom::addon {

// An integer from 0 to 2^53 - 1: an id, an offset or a size.
std::uint64_t sizeArgument(const Napi::Value& value, const char* name);
std::uint64_t sizeOption(const Napi::Value& options, const char* name);
bool booleanArgument(const Napi::Value& value, const char* name);
std::string textArgument(const Napi::Value& value, const char* name);
std::optional<std::string> textOrNullArgument(const Napi::Value& value, const char* name);
Napi::Uint8Array bytesArgument(const Napi::Value& value, const char* name);

std::span<std::byte> bytesOf(Napi::Uint8Array array);

}  // namespace sandloom::addon
