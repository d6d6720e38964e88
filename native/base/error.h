// The one error type of the native code: a stable code, a sentence, and the numbers concerned.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandloom {

// Codes are part of the interface: src/fabric/native-errors.ts has one class for each.
enum class ErrorCode {
  kBadArgument,
  kBadImage,
  kBadMessage,
  kBadRange,
  kBadRegion,
  kBaseMoved,
  kFabricFull,
  kFabricPeerLost,
  kFabricPeerRestarted,
  kFabricTimedOut,
  kMemoryCapExceeded,
  kQuotaExceeded,
  kSpaceClosed,
  kStaleMemory,
  kStrayWrite,
  kSystemError,
  kWindowFull,
};

std::string_view codeName(ErrorCode code);

class Error : public std::runtime_error {
 public:
  // `name` is a property of the JavaScript error, in snake case with its unit last.
  using Values = std::vector<std::pair<const char*, double>>;

  Error(ErrorCode code, const std::string& message, Values values = {});

  // The failure of a system call; reads `errno`. The errno's name (ENOMEM) becomes `errno_name`.
  static Error system(const std::string& what);
  static Error system(const std::string& what, int number);

  ErrorCode code() const { return code_; }
  const Values& values() const { return values_; }
  const std::string& errnoName() const { return errno_name_; }

 private:
  ErrorCode code_;
  Values values_;
  std::string errno_name_;
};

// A size, an offset or a count as a value of an error: JavaScript numbers hold every one exactly, up to 2^53.
template <typename Integer>
double asValue(Integer value) {
  return static_cast<double>(value);
}

}  // namespace sandloom
