#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace sandloom {

std::string_view codeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadArgument:
      return "BadArgument";
    case ErrorCode::kBadImage:
      return "BadImage";
    case ErrorCode::kBadMessage:
      return "BadMessage";
    case ErrorCode::kBadRange:
      return "BadRange";
    case ErrorCode::kBadRegion:
      return "BadRegion";
    case ErrorCode::kBaseMoved:
      return "BaseMoved";
    case ErrorCode::kFabricFull:
      return "FabricFull";
    case ErrorCode::kFabricPeerLost:
      return "FabricPeerLost";
    case ErrorCode::kFabricPeerRestarted:
      return "FabricPeerRestarted";
    case ErrorCode::kFabricTimedOut:
      return "FabricTimedOut";
    case ErrorCode::kMemoryCapExceeded:
      return "MemoryCapExceeded";
    case ErrorCode::kQuotaExceeded:
      return "QuotaExceeded";
    case ErrorCode::kSpaceClosed:
      return "SpaceClosed";
    case ErrorCode::kStaleMemory:
      return "StaleMemory";
    case ErrorCode::kStrayWrite:
      return "StrayWrite";
    case ErrorCode::kSystemError:
      return "SystemError";
    case ErrorCode::kWindowFull:
      return "WindowFull";
  }
  return "SystemError";
}

Error::Error(ErrorCode code, const std::string& message, Values values)
    : std::runtime_error(message), code_(code), values_(std::move(values)) {}

Error Error::system(const std::string& what) {
  return system(what, errno);
}

Error Error::system(const std::string& what, int number) {
  const char* name = strerrorname_np(number);
  Error error(ErrorCode::kSystemError, what + ": " + std::strerror(number), {{"errno", asValue(number)}});
  error.errno_name_ = name == nullptr ? std::to_string(number) : name;
  return error;
}

}  // namespace sandloom
