// What the tests of the network share: whether there is a fabric at all, a server in this process, and one in another.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "network/memory_server.h"
#include "network/remote_memory.h"
#include "test/fixtures.h"

extern char** environ;

namespace sandloom::test {

// The signal handlers before and after the library was loaded, which happens once in a process.
struct Handlers {
  std::array<struct sigaction, 32> before = {};
  std::array<struct sigaction, 32> after = {};

  static std::array<struct sigaction, 32> now() {
    std::array<struct sigaction, 32> actions = {};
    for (std::size_t signal = 1; signal < actions.size(); ++signal) ::sigaction(static_cast<int>(signal), nullptr, &actions[signal]);
    return actions;
  }
  static const Handlers& aroundLoading() {
    static const Handlers handlers = [] {
      Handlers made;
      made.before = now();
      Libfabric::get();
      made.after = now();
      return made;
    }();
    return handlers;
  }
};

// False, and says why once, where there is no libfabric.
inline bool haveFabric() {
  static const bool have = [] {
    Handlers::aroundLoading();
    const Libfabric& library = Libfabric::get();
    if (!library.available()) std::printf("skipped: what needs libfabric: %s\n", library.reason().c_str());
    return library.available();
  }();
  return have;
}

// Of a test: it is skipped, and counted so, where there is none.
inline doctest::skip withFabric() {
  return doctest::skip(!haveFabric());
}

// Most tests run on each of these.
inline const std::vector<std::string> kProviders = {"net", "tcp"};

// A server of its own thread in this process, and a client.
struct Loopback {
  explicit Loopback(const std::string& provider, MemoryServer::Options options = {.slab_bytes = 8 * kMiB}, bool stage = false,
                    std::uint64_t tenant = 0)
      : server_domain({.provider = provider}),
        server(server_domain, options),
        domain({.provider = provider, .tenant = tenant, .always_stage = stage}),
        peer(domain.addPeer(server.card())),
        memory(domain, peer) {}

  Domain server_domain;
  MemoryServer server;
  Domain domain;
  PeerId peer;
  RemoteMemory memory;
};

// The program fabric_server, which lies beside this one.
class ServerProcess {
 public:
  explicit ServerProcess(std::vector<std::string> arguments) {
    std::array<int, 2> out = {};
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    output_ = FileDescriptor(out[0]);
    const FileDescriptor end(out[1]);
    const std::string program = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fabric_server").string();
    arguments.insert(arguments.begin(), program);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, end.get(), STDOUT_FILENO);
    const int failed = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(failed == 0);
  }
  ~ServerProcess() { end(SIGKILL); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  Card card() {
    std::string line;
    for (char character = 0; ::read(output_.get(), &character, 1) == 1 && character != '\n';) line += character;
    return wire::decodeCard(line);
  }
  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  // How it exited; negative if by a signal.
  int end(int number) {
    if (pid_ <= 0) return 0;
    int status = 0;
    ::kill(pid_, number);
    ::kill(pid_, SIGCONT);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  FileDescriptor output_;
};

// Until `condition` holds; false if it does not within ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto until = Clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (Clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

inline std::vector<std::byte> randomBytes(std::size_t bytes, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::vector<std::byte> content(bytes);
  for (std::byte& byte : content) byte = static_cast<std::byte>(generator());
  return content;
}

}  // namespace sandloom::test
