// What the fabric costs on this machine, against what else moves memory between two processes, in one run:
//   fabric_bench [--provider net] [--rounds N]
// The other processes are copies of this one (by fork, before any thread is made). "spinning": the domains' threads on both sides look
// for completions without sleeping; "blocking": they sleep between two operations.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "network/memory_server.h"
#include "network/remote_memory.h"

using namespace sandloom;

namespace {

constexpr std::size_t kSlabBytes = 64 * kMiB;

struct Options {
  std::string provider;
  std::size_t rounds = 4000;
};

void report(const char* what, std::vector<double> times_us, std::size_t bytes) {
  std::ranges::sort(times_us);
  const auto at = [&](double part) { return times_us[std::min(times_us.size() - 1, static_cast<std::size_t>(part * asValue(times_us.size())))]; };
  std::printf("%-44s p50 %9.2f us   p99 %9.2f us   %7.2f GB/s\n", what, at(0.5), at(0.99), asValue(bytes) / at(0.5) / 1e3);
  std::fflush(stdout);
}

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

void measure(const char* what, std::size_t rounds, std::size_t bytes, const std::function<void(std::size_t round)>& once) {
  for (std::size_t round = 0; round < rounds / 10; ++round) once(round);
  std::vector<double> times_us;
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    once(round);
    times_us.push_back(microseconds(Clock::now() - start));
  }
  report(what, std::move(times_us), bytes);
}

std::uint64_t offsetOf(std::size_t round, std::size_t bytes) {
  return (round * 2654435761u) % (kSlabBytes / bytes) * bytes;
}

// --- The other process ---

void sendAll(int socket, const void* from, std::size_t bytes) {
  for (std::size_t sent = 0; sent < bytes;) {
    const ssize_t put = ::send(socket, static_cast<const char*>(from) + sent, bytes - sent, MSG_NOSIGNAL);
    if (put <= 0) throw Error::system("send");
    sent += static_cast<std::size_t>(put);
  }
}

bool receiveAll(int socket, void* to, std::size_t bytes) {
  for (std::size_t had = 0; had < bytes;) {
    const ssize_t got = ::recv(socket, static_cast<char*>(to) + had, bytes - had, 0);
    if (got <= 0) return false;
    had += static_cast<std::size_t>(got);
  }
  return true;
}

// Long enough to be awake for the next operation.
std::chrono::microseconds spinOf(bool spin) {
  return std::chrono::microseconds(spin ? 1000 : 0);
}

struct Told {
  std::array<char, 1024> card;
  std::uint64_t memory;  // its address in the other process
  std::uint16_t port;
};

// Memory over the fabric, the same amount by its address, and a plain TCP server: 16 bytes in, as many out as they say.
[[noreturn]] void serve(int out, const std::string& provider, bool spin) {
  const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t address_bytes = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &address_bytes) != 0)
    throw Error::system("listen");
  std::vector<std::byte> memory(kSlabBytes, std::byte{1});
  Domain domain({.provider = provider, .spin = spinOf(spin)});
  const MemoryServer server(domain, {.slab_bytes = kSlabBytes});
  Told told = {};
  const std::string card = wire::encodeCard(server.card());
  std::copy(card.begin(), card.end(), told.card.begin());
  told.memory = reinterpret_cast<std::uintptr_t>(memory.data());
  told.port = ntohs(address.sin_port);
  if (::write(out, &told, sizeof told) != sizeof told) throw Error::system("write");
  const FileDescriptor client(::accept(listener.get(), nullptr, nullptr));
  const int yes = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  for (std::array<std::uint64_t, 2> wanted = {}; receiveAll(client.get(), wanted.data(), sizeof wanted);)
    sendAll(client.get(), memory.data() + wanted[0], wanted[1]);
  ::pause();
  std::_Exit(0);
}

// --- This one ---

// Reads of the domain's own thread, each started by the end of the one before: no other thread is woken.
std::vector<double> chained(Domain& domain, std::size_t rounds, const std::function<void(std::size_t round, Done done)>& start) {
  std::vector<double> times_us;
  std::atomic<bool> finished = false;
  Clock::time_point started;
  std::function<void()> next = [&] {
    started = Clock::now();
    start(times_us.size(), [&](const Outcome& outcome) {
      if (outcome.error) std::fprintf(stderr, "fabric_bench: %s\n", outcome.error->what());
      times_us.push_back(microseconds(Clock::now() - started));
      if (times_us.size() < rounds) return next();
      finished = true;
      finished.notify_one();
    });
  };
  domain.runInside(next);
  finished.wait(false);
  return times_us;
}

// Sixteen reads under way at any time.
double bandwidth(Domain& domain, PeerId peer, std::size_t bytes, std::size_t total_bytes) {
  constexpr std::size_t kDepth = 16;
  std::vector<std::vector<std::byte>> buffers(kDepth, std::vector<std::byte>(bytes));
  const std::size_t reads = total_bytes / bytes;
  std::size_t started = 0;
  std::size_t ended = 0;
  std::atomic<bool> finished = false;
  std::function<void(std::size_t)> next = [&](std::size_t buffer) {
    if (started == reads) return;
    domain.read(peer, 0, offsetOf(started++, bytes), buffers[buffer], {}, [&, buffer](const Outcome& outcome) {
      if (outcome.error) std::fprintf(stderr, "fabric_bench: %s\n", outcome.error->what());
      if (++ended == reads) {
        finished = true;
        finished.notify_one();
      } else {
        next(buffer);
      }
    });
  };
  const auto start = Clock::now();
  domain.runInside([&] {
    for (std::size_t buffer = 0; buffer < kDepth; ++buffer) next(buffer);
  });
  finished.wait(false);
  return asValue(total_bytes) / microseconds(Clock::now() - start) / 1e3;
}

void measureFabric(const Card& card, std::size_t rounds, bool spin) {
  Domain domain({.provider = card.provider, .spin = spinOf(spin)});
  const PeerId peer = domain.addPeer(card);
  RemoteMemory memory(domain, peer);
  memory.ping();
  const RemoteSpan span = memory.allocate(kPageBytes);
  std::vector<std::byte> buffer(kMiB);
  const char* mode = spin ? "spinning" : "blocking";
  const auto name = [&](const char* what) { return card.provider + " " + what + ", " + mode; };
  const auto read = [&](std::size_t bytes) {
    return [&domain, &buffer, peer, bytes](std::size_t round, Done done) {
      domain.read(peer, 0, offsetOf(round, bytes), std::span(buffer).first(bytes), {}, std::move(done));
    };
  };
  report(name("read 4 KiB, chained").c_str(), chained(domain, rounds, read(kPageBytes)), kPageBytes);
  report(name("read 1 MiB, chained").c_str(), chained(domain, rounds / 10, read(kMiB)), kMiB);
  report(name("fetch-add, chained").c_str(), chained(domain, rounds, [&](std::size_t, Done done) {
           domain.call(peer, wire::FetchAdd{span.slab, span.offset, 1}, {}, std::move(done));
         }), 8);
  if (spin) {  // no thread that waits: with the two that spin it would be three, for two processors on small machines
    std::printf("%-44s %7.2f GB/s\n", name("read 4 KiB, 16 under way").c_str(), bandwidth(domain, peer, kPageBytes, 256 * kMiB));
    std::printf("%-44s %7.2f GB/s\n", name("read 64 KiB, 16 under way").c_str(), bandwidth(domain, peer, 64 * kKiB, 1024 * kMiB));
    std::printf("%-44s %7.2f GB/s\n", name("read 1 MiB, 8 under way").c_str(), bandwidth(domain, peer, kMiB, 2048 * kMiB));
    return;
  }
  measure(name("read 4 KiB, by a waiting thread").c_str(), rounds / 4, kPageBytes, [&](std::size_t round) {
    domain.read(peer, 0, offsetOf(round, kPageBytes), std::span(buffer).first(kPageBytes));
  });
  measure(name("write 4 KiB, by a waiting thread").c_str(), rounds / 4, kPageBytes, [&](std::size_t) {
    memory.write(span, 0, std::span(buffer).first(kPageBytes));
  });
  measure(name("fetch-add, by a waiting thread").c_str(), rounds / 4, 8, [&](std::size_t) { memory.fetchAdd(span, 0, 1); });
}

void measureOthers(const Told& told, pid_t server, std::size_t rounds) {
  std::vector<std::byte> from(kSlabBytes, std::byte{1});
  std::vector<std::byte> to(kMiB);
  for (const std::size_t bytes : {kPageBytes, kMiB}) {
    const std::string size = bytes == kMiB ? "1 MiB" : "4 KiB";
    const std::size_t times = bytes == kMiB ? rounds / 10 : rounds;
    measure(("memcpy " + size).c_str(), times, bytes,
            [&](std::size_t round) { std::memcpy(to.data(), from.data() + offsetOf(round, bytes), bytes); });
    measure(("process_vm_readv " + size).c_str(), times, bytes, [&](std::size_t round) {
      const iovec local = {to.data(), bytes};
      const iovec remote = {reinterpret_cast<void*>(told.memory + offsetOf(round, bytes)), bytes};
      if (::process_vm_readv(server, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(bytes)) throw Error::system("process_vm_readv");
    });
  }
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(told.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw Error::system("connect");
  const int yes = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  for (const std::size_t bytes : {std::size_t{8}, kPageBytes, kMiB}) {
    const std::string size = bytes == kMiB ? "1 MiB" : bytes == 8 ? "8 B" : "4 KiB";
    measure(("plain TCP " + size + ", blocking").c_str(), bytes == kMiB ? rounds / 10 : rounds, bytes, [&](std::size_t round) {
      const std::array<std::uint64_t, 2> wanted = {offsetOf(round, bytes), bytes};
      sendAll(socket.get(), wanted.data(), sizeof wanted);
      if (!receiveAll(socket.get(), to.data(), bytes)) throw Error(ErrorCode::kFabricPeerLost, "the TCP server is gone");
    });
  }
}

class ServerProcess {
 public:
  ServerProcess(const std::string& provider, bool spin) {
    std::array<int, 2> pipe = {};
    if (::pipe(pipe.data()) != 0) throw Error::system("pipe");
    out_ = FileDescriptor(pipe[0]);
    const FileDescriptor in(pipe[1]);
    pid_ = ::fork();
    if (pid_ < 0) throw Error::system("fork");
    if (pid_ > 0) return;
    try {
      serve(in.get(), provider, spin);
    } catch (const Error& error) {
      std::fprintf(stderr, "fabric_bench: the server: %s\n", error.what());
      std::_Exit(1);
    }
  }
  ~ServerProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  Told told() const {
    Told told = {};
    if (::read(out_.get(), &told, sizeof told) != sizeof told) throw Error(ErrorCode::kFabricPeerLost, "the server did not start");
    return told;
  }

 private:
  pid_t pid_ = -1;
  FileDescriptor out_;
};

// Both servers are made before this process has any other thread.
void run(const Options& options) {
  const ServerProcess spinning(options.provider, true);
  const ServerProcess blocking(options.provider, false);
  const Told spinning_told = spinning.told();
  const Told blocking_told = blocking.told();
  measureOthers(blocking_told, blocking.pid(), options.rounds);
  measureFabric(wire::decodeCard(spinning_told.card.data()), options.rounds, true);
  measureFabric(wire::decodeCard(blocking_told.card.data()), options.rounds, false);
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  for (int index = 1; index + 1 < count; index += 2) {
    const std::string_view name = arguments[index];
    if (name == "--provider") options.provider = arguments[index + 1];
    if (name == "--rounds") options.rounds = std::strtoull(arguments[index + 1], nullptr, 10);
  }
  try {
    run(options);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "fabric_bench: %s\n", error.what());
    return 1;
  }
}
