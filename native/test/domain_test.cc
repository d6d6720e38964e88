#include "network/domain.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "test/network_fixtures.h"

using namespace sandloom;
using namespace sandloom::test;
using namespace std::chrono_literals;

namespace {

// A client of a server in another process.
struct Client {
  explicit Client(const Card& card, std::chrono::milliseconds heartbeat = 3000ms)
      : domain({.provider = card.provider, .heartbeat = heartbeat}), peer(domain.addPeer(card)), memory(domain, peer) {}

  Domain domain;
  PeerId peer;
  RemoteMemory memory;
};

std::vector<std::string> serverArguments(const std::string& provider, std::uint16_t port = 0) {
  return {"--provider", provider, "--mib", "8", "--port", std::to_string(port)};
}

Clock::duration timeOf(const std::function<void()>& call) {
  const auto start = Clock::now();
  call();
  return Clock::now() - start;
}

// A plain connection to the port, with no fabric in it.
FileDescriptor plainConnection(std::uint16_t port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

std::chrono::microseconds processorTime() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) { return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec); };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace

TEST_SUITE("domain") {
  TEST_CASE("what is written to another server is what is read from it, in any size, at any offset, staged or not" * withFabric()) {
    for (const std::string& provider : kProviders) {
      for (const bool stage : {false, true}) {
        CAPTURE(provider);
        CAPTURE(stage);
        Loopback loopback(provider, {.slab_bytes = 8 * kMiB}, stage);
        const RemoteSpan span = loopback.memory.allocate(6 * kMiB);
        CHECK(span.bytes == 6 * kMiB);
        unsigned seed = 0;
        for (const std::size_t bytes : {std::size_t{1}, std::size_t{8}, kPageBytes, 64 * kKiB, kMiB, 3 * kMiB + 17}) {
          CAPTURE(bytes);
          const std::size_t offset = 5 * seed + 4096;
          const std::vector<std::byte> written = randomBytes(bytes, ++seed);
          loopback.memory.write(span, offset, written);
          std::vector<std::byte> read(bytes + 2);
          loopback.memory.read(span, offset, std::span(read).subspan(1, bytes));
          CHECK(std::equal(written.begin(), written.end(), read.begin() + 1));
          CHECK(read.front() == std::byte{0});
          CHECK(read.back() == std::byte{0});
        }
      }
    }
  }

  TEST_CASE("two threads read at once, each gets what it asked for" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      Loopback loopback(provider);
      const RemoteSpan span = loopback.memory.allocate(4 * kMiB);
      const std::vector<std::byte> content = randomBytes(span.bytes, 1);
      loopback.memory.write(span, 0, content);
      std::atomic<unsigned> wrong = 0;
      const auto readMany = [&](unsigned seed) {
        std::mt19937 generator(seed);
        std::vector<std::byte> page(kPageBytes);
        for (int round = 0; round < 500; ++round) {
          const std::size_t offset = generator() % (content.size() - kPageBytes);
          loopback.memory.read(span, offset, page);
          if (!std::equal(page.begin(), page.end(), content.begin() + static_cast<std::ptrdiff_t>(offset))) ++wrong;
        }
      };
      std::thread other([&] { readMany(2); });
      readMany(3);
      other.join();
      CHECK(wrong == 0);
    }
  }

  TEST_CASE("far more than may be under way at once is all done, prefetches too" * withFabric()) {
    for (const bool stage : {false, true}) {
      CAPTURE(stage);
      Loopback loopback("net", {.slab_bytes = 8 * kMiB}, stage);
      const RemoteSpan span = loopback.memory.allocate(4 * kMiB);
      const std::vector<std::byte> content = randomBytes(span.bytes, 4);
      loopback.memory.write(span, 0, content);
      std::vector<std::byte> read(span.bytes);
      constexpr std::size_t kPages = 1024;
      std::atomic<std::size_t> done = 0;
      std::atomic<std::size_t> failed = 0;
      for (std::size_t page = 0; page < kPages; ++page) {
        const OperationOptions options = {.deadline = 20s, .priority = page % 2 == 0 ? Priority::kDemand : Priority::kPrefetch};
        loopback.domain.read(loopback.peer, span.slab, span.offset + page * kPageBytes,
                             std::span(read).subspan(page * kPageBytes, kPageBytes), options, [&](const Outcome& outcome) {
                               if (outcome.error) ++failed;
                               ++done;
                             });
      }
      CHECK(eventually([&] { return done == kPages; }));
      CHECK(failed == 0);
      CHECK(read == content);
    }
  }

  TEST_CASE("a demand is met before the prefetches that were asked for earlier" * withFabric()) {
    Loopback loopback("net");
    const RemoteSpan span = loopback.memory.allocate(4 * kMiB);
    std::vector<std::byte> pages(span.bytes);
    std::vector<std::byte> demanded(kPageBytes);
    std::atomic<std::size_t> prefetched = 0;
    std::atomic<std::size_t> prefetched_before_demand = 0;
    std::atomic<bool> demand_done = false;
    constexpr std::size_t kPrefetches = 512;
    // Queued in the domain's thread, so that it has not begun with the first before the last is there.
    loopback.domain.runInside([&] {
      for (std::size_t page = 0; page < kPrefetches; ++page)
        loopback.domain.read(loopback.peer, span.slab, span.offset + page * kPageBytes,
                             std::span(pages).subspan(page * kPageBytes, kPageBytes),
                             {.deadline = 20s, .priority = Priority::kPrefetch}, [&](const Outcome&) { ++prefetched; });
      loopback.domain.read(loopback.peer, span.slab, span.offset, demanded, {.deadline = 20s}, [&](const Outcome&) {
        prefetched_before_demand = prefetched.load();
        demand_done = true;
      });
    });
    CHECK(eventually([&] { return demand_done && prefetched == kPrefetches; }));
    CHECK(prefetched_before_demand <= 16);
  }

  TEST_CASE("out of range is refused before anything is sent" * withFabric()) {
    Loopback loopback("net");
    const RemoteSpan span = loopback.memory.allocate(kPageBytes);
    std::vector<std::byte> page(kPageBytes);
    CHECK(errorOf([&] { loopback.memory.read(span, 1, page); }) == "BadRange");
    CHECK(errorOf([&] { loopback.memory.write(span, ~std::uint64_t{0}, page); }) == "BadRange");
    CHECK(errorOf([&] { loopback.memory.fetchAdd(span, kPageBytes - 4, 1); }) == "BadRange");
    const std::uint64_t slab_bytes = loopback.server.card().slabs[0].bytes;
    CHECK(errorOf([&] { loopback.domain.read(loopback.peer, 0, slab_bytes - kPageBytes + 1, page); }) == "BadRange");
    CHECK(errorOf([&] { loopback.domain.read(loopback.peer, 0, ~std::uint64_t{0} - 100, page); }) == "BadRange");
    CHECK(errorOf([&] { loopback.domain.read(loopback.peer, 1, 0, page); }) == "BadRange");
    CHECK(errorValueOf([&] { loopback.domain.read(loopback.peer, 0, slab_bytes, page); }, "limit_bytes") == asValue(slab_bytes));
    CHECK(errorOf([&] { loopback.domain.read(loopback.peer + 1, 0, 0, page); }) == "BadRegion");
    // The connection is the one that it was.
    loopback.memory.read(span, 0, page);
    CHECK(loopback.domain.stats().connections == 1);
  }

  TEST_CASE("a server that hangs costs its deadline, and is used again when it goes on" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      ServerProcess server(serverArguments(provider));
      Client client(server.card());
      const RemoteSpan span = client.memory.allocate(kMiB);
      const std::vector<std::byte> content = randomBytes(kMiB, 5);
      client.memory.write(span, 0, content);
      server.signal(SIGSTOP);
      std::vector<std::byte> page(kPageBytes);
      std::string code;
      const auto took = timeOf([&] { code = errorOf([&] { client.memory.read(span, 0, page, {.deadline = 200ms}); }); });
      CHECK(code == "FabricTimedOut");
      CHECK(took >= 200ms);
      CHECK(took < 1500ms);
      // And so does one that finds no connection.
      CHECK(errorOf([&] { client.memory.ping({.deadline = 100ms}); }) == "FabricTimedOut");
      server.signal(SIGCONT);
      CHECK(eventually([&] { return errorOf([&] { client.memory.read(span, 0, page); }) == "no error"; }));
      CHECK(std::equal(page.begin(), page.end(), content.begin()));
    }
  }

  TEST_CASE("what is under way beside an operation that came too late is done on the next connection" * withFabric()) {
    ServerProcess server(serverArguments("net"));
    Client client(server.card());
    const RemoteSpan span = client.memory.allocate(kMiB);
    const std::vector<std::byte> content = randomBytes(kMiB, 6);
    client.memory.write(span, 0, content);
    const std::uint64_t before = client.memory.fetchAdd(span, 0, 0);
    server.signal(SIGSTOP);
    std::vector<std::byte> page(kPageBytes);
    std::vector<std::byte> late(kPageBytes);
    std::atomic<int> done = 0;
    std::optional<Error> patient;
    std::optional<Error> added;
    std::optional<Error> impatient;
    client.domain.read(client.peer, span.slab, span.offset + kPageBytes, page, {.deadline = 20s}, [&](Outcome outcome) {
      patient = std::move(outcome.error);
      ++done;
    });
    client.domain.call(client.peer, wire::FetchAdd{span.slab, span.offset, 5}, {.deadline = 20s}, [&](Outcome outcome) {
      added = std::move(outcome.error);
      ++done;
    });
    client.domain.read(client.peer, span.slab, span.offset, late, {.deadline = 100ms}, [&](Outcome outcome) {
      impatient = std::move(outcome.error);
      ++done;
    });
    CHECK(eventually([&] { return done == 1; }));
    server.signal(SIGCONT);
    CHECK(eventually([&] { return done == 3; }));
    REQUIRE(impatient);
    CHECK(impatient->code() == ErrorCode::kFabricTimedOut);
    CHECK_FALSE(patient);
    CHECK_FALSE(added);
    CHECK(std::equal(page.begin(), page.end(), content.begin() + kPageBytes));
    // Once, though it was asked for on two connections.
    CHECK(client.memory.fetchAdd(span, 0, 0) == before + 5);
  }

  TEST_CASE("a server that is killed is lost at once, for all that is under way and all that comes" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      ServerProcess server(serverArguments(provider));
      Client client(server.card());
      const RemoteSpan span = client.memory.allocate(4 * kMiB);
      std::vector<std::byte> content(span.bytes);
      constexpr int kReads = 64;
      std::atomic<int> done = 0;
      std::atomic<int> lost = 0;
      // Under way for certain when the server dies.
      server.signal(SIGSTOP);
      for (int index = 0; index < kReads; ++index)
        client.domain.read(client.peer, span.slab, span.offset, std::span(content).first(kMiB), {.deadline = 20s},
                           [&](const Outcome& outcome) {
                             if (outcome.error && outcome.error->code() == ErrorCode::kFabricPeerLost) ++lost;
                             ++done;
                           });
      const auto took = timeOf([&] {
        server.end(SIGKILL);
        CHECK(eventually([&] { return done == kReads; }));
      });
      CHECK(lost == kReads);
      CHECK(took < 3s);
      std::string code;
      CHECK(timeOf([&] { code = errorOf([&] { client.memory.ping({.deadline = 20s}); }); }) < 3s);
      CHECK(code == "FabricPeerLost");
    }
  }

  TEST_CASE("a server that was started anew on the same port is another" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      ServerProcess server(serverArguments(provider));
      const Card card = server.card();
      Client client(card);
      const RemoteSpan span = client.memory.allocate(kMiB);
      server.end(SIGKILL);
      ServerProcess again(serverArguments(provider, card.port));
      const Card new_card = again.card();
      CHECK(new_card.port == card.port);
      CHECK(new_card.generation != card.generation);
      std::vector<std::byte> page(kPageBytes);
      CHECK(eventually([&] { return errorOf([&] { client.memory.read(span, 0, page); }) == "FabricPeerRestarted"; }));
      CHECK(errorOf([&] { client.memory.ping(); }) == "FabricPeerRestarted");
      RemoteMemory renewed(client.domain, client.domain.addPeer(new_card));
      renewed.read(renewed.allocate(kPageBytes), 0, page);
      CHECK(isFilled(page.data(), page.size(), 0));
    }
  }

  TEST_CASE("a server that hangs is noticed even if nobody asks it for anything, and connected to again" * withFabric()) {
    ServerProcess server(serverArguments("net"));
    Client client(server.card(), 50ms);
    client.memory.ping();
    server.signal(SIGSTOP);
    CHECK(eventually([&] { return client.domain.stats().lost == 1; }));
    server.signal(SIGCONT);
    CHECK(eventually([&] { return client.domain.stats().connections == 2; }));
    client.memory.ping();
  }

  TEST_CASE("a write of a part of a page is not tried again" * withFabric()) {
    ServerProcess server(serverArguments("net"));
    Client client(server.card());
    const RemoteSpan span = client.memory.allocate(kMiB);
    const std::vector<std::byte> part(100, std::byte{1});
    const std::vector<std::byte> pages(2 * kPageBytes, std::byte{2});
    std::vector<std::byte> late(kPageBytes);
    server.signal(SIGSTOP);
    std::atomic<int> done = 0;
    std::optional<Error> of_part;
    std::optional<Error> of_pages;
    client.domain.write(client.peer, span.slab, span.offset, part, {.deadline = 20s}, [&](Outcome outcome) {
      of_part = std::move(outcome.error);
      ++done;
    });
    client.domain.write(client.peer, span.slab, span.offset + kPageBytes, pages, {.deadline = 20s}, [&](Outcome outcome) {
      of_pages = std::move(outcome.error);
      ++done;
    });
    client.domain.read(client.peer, span.slab, span.offset, late, {.deadline = 100ms}, [&](const Outcome&) { ++done; });
    CHECK(eventually([&] { return done == 2; }));
    server.signal(SIGCONT);
    CHECK(eventually([&] { return done == 3; }));
    REQUIRE(of_part);
    CHECK(of_part->code() == ErrorCode::kFabricPeerLost);
    CHECK_FALSE(of_pages);
    std::vector<std::byte> content(2 * kPageBytes);
    client.memory.read(span, kPageBytes, content);
    CHECK(content == pages);
  }

  TEST_CASE("a server ends at SIGTERM, and by itself" * withFabric()) {
    ServerProcess server(serverArguments("net"));
    Client client(server.card());
    client.memory.ping();
    CHECK(server.end(SIGTERM) == 0);
  }

  TEST_CASE("garbage on its port does a server no harm" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      ServerProcess server(serverArguments(provider));
      const Card card = server.card();
      Client client(card);
      client.memory.ping();
      std::mt19937 generator(7);
      for (unsigned round = 0; round < 50; ++round) {
        const FileDescriptor socket = plainConnection(card.port);
        const std::vector<std::byte> garbage = randomBytes(generator() % 4000, round);
        // The server may have closed it already.
        static_cast<void>(::send(socket.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL));
      }
      client.memory.ping();
      Client another(card);
      another.memory.ping();
    }
  }

  TEST_CASE("operations that are under way when a peer is given up, or the domain closed, are told of it" * withFabric()) {
    ServerProcess server(serverArguments("net"));
    std::vector<std::byte> page(kPageBytes);
    std::optional<Error> given_up;
    std::optional<Error> closed;
    {
      Client client(server.card());
      const RemoteSpan span = client.memory.allocate(kPageBytes);
      server.signal(SIGSTOP);
      client.domain.read(client.peer, 0, span.offset, page, {}, [&](Outcome outcome) { given_up = std::move(outcome.error); });
      client.domain.removePeer(client.peer);
      REQUIRE(given_up);
      CHECK(given_up->code() == ErrorCode::kFabricPeerLost);
      const PeerId again = client.domain.addPeer([&] {
        Card card;
        card.provider = client.domain.provider();
        card.address = "127.0.0.1";
        card.port = 1;
        card.slabs = {{.base = 0, .key = 0, .bytes = kPageBytes}};
        return card;
      }());
      client.domain.read(again, 0, 0, page, {}, [&](Outcome outcome) { closed = std::move(outcome.error); });
    }
    REQUIRE(closed);
    CHECK(closed->code() == ErrorCode::kFabricPeerLost);
  }

  TEST_CASE("a connection with nothing to do costs no processor time" * withFabric()) {
    for (const std::string& provider : kProviders) {
      CAPTURE(provider);
      Loopback loopback(provider);
      loopback.memory.ping();
      const auto before = processorTime();
      const auto turns_before = loopback.domain.stats().turns + loopback.server_domain.stats().turns;
      std::this_thread::sleep_for(500ms);
      CHECK(processorTime() - before < 25ms);
      CHECK(loopback.domain.stats().turns + loopback.server_domain.stats().turns - turns_before < 50);
    }
  }
}
