// A server of memory without anything else: prints its card as one word, and serves until SIGTERM or SIGINT.
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include "network/memory_server.h"

namespace {

constexpr const char* kUsage =
    "usage: fabric_server [--address A] [--port N] [--provider verbs|net|tcp] [--mib N] [--quota-mib N] [--lease-ms N]\n";

constexpr std::size_t kMostMiB = 1U << 20U;
constexpr std::size_t kMostLeaseMs = 86'400'000;

std::size_t numberOf(std::string_view name, std::string_view text, std::size_t least, std::size_t most) {
  std::size_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw sandloom::Error(sandloom::ErrorCode::kBadArgument, std::string(name) + " " + std::string(text) + " is no whole number from " +
                                                                 std::to_string(least) + " to " + std::to_string(most));
  return value;
}

int serve(int count, char** arguments) {
  sandloom::Domain::Options domain_options;
  sandloom::MemoryServer::Options options;
  for (int index = 1; index < count; index += 2) {
    const std::string_view name = arguments[index];
    if (index + 1 == count) throw sandloom::Error(sandloom::ErrorCode::kBadArgument, std::string(name) + " needs a value");
    const std::string value = arguments[index + 1];
    if (name == "--address")
      domain_options.address = value;
    else if (name == "--provider")
      domain_options.provider = value;
    else if (name == "--port")
      options.port = static_cast<std::uint16_t>(numberOf(name, value, 0, 65'535));
    else if (name == "--mib")
      options.slab_bytes = numberOf(name, value, 1, kMostMiB) * sandloom::kMiB;
    else if (name == "--quota-mib")
      options.quota_bytes = numberOf(name, value, 0, kMostMiB) * sandloom::kMiB;
    else if (name == "--lease-ms")
      options.lease = std::chrono::milliseconds(numberOf(name, value, 1, kMostLeaseMs));
    else
      throw sandloom::Error(sandloom::ErrorCode::kBadArgument, "unknown option " + std::string(name));
  }
  // Blocked before any thread is made, so that none but this one takes them.
  sigset_t ends = {};
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  sandloom::Domain domain(domain_options);
  sandloom::MemoryServer server(domain, options);
  std::printf("%s\n", sandloom::wire::encodeCard(server.card()).c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return serve(count, arguments);
  } catch (const sandloom::Error& error) {
    std::fprintf(stderr, "fabric_server: %s\n%s", error.what(),
                 error.code() == sandloom::ErrorCode::kBadArgument ? kUsage : "");
    return 1;
  }
}
