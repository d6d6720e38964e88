#include "network/memory_server.h"

#include <algorithm>
#include <variant>

#include "network/random_number.h"

namespace sandloom {
namespace {

// More than a client can have under way on the connection that it lost and on the next one.
constexpr std::size_t kRememberedReplies = 4 * Endpoint::kTransfers;
// What is zeroed between two looks at the completion queue: some 0.1 ms.
constexpr std::size_t kZeroStepBytes = kMiB;

wire::Reply refusal(wire::Status status) {
  wire::Reply reply;
  reply.status = status;
  return reply;
}

// Whether doing it twice is not the same as doing it once.
bool changesSomething(const wire::Body& body) {
  return !std::holds_alternative<wire::ReadVersion>(body) && !std::holds_alternative<wire::Ping>(body);
}

}  // namespace

MemoryServer::MemoryServer(Domain& domain, const Options& options)
    : domain_(domain), options_(options), slab_(1, roundUp(std::max(options.slab_bytes, kHugePageBytes), kHugePageBytes)) {
  slab_.populate(0, slab_.bytes());
  zeroed_.add(0, slab_.bytes());
  domain_.runInside([this] {
    registration_ =
        Registration::of(domain_.objects(), {slab_.data(0), slab_.bytes()}, FI_REMOTE_READ | FI_REMOTE_WRITE);
    card_.provider = domain_.provider();
    card_.address = domain_.address();
    card_.generation = randomNumber();
    const bool virtual_address = domain_.objects().needs(FI_MR_VIRT_ADDR);
    card_.slabs.push_back({.base = virtual_address ? reinterpret_cast<std::uintptr_t>(slab_.data(0)) : 0,
                           .key = fi_mr_key(registration_.object.get()),
                           .bytes = slab_.bytes()});
    card_.port = domain_.listen(*this, options_.port);
  });
}

MemoryServer::~MemoryServer() {
  domain_.runInside([this] {
    domain_.stopListening();
    registration_ = {};
  });
}

MemoryServer::Stats MemoryServer::stats() {
  Stats now;
  domain_.runInside([this, &now] {
    now = stats_;
    now.clients = clients_.size();
    now.spans = spans_.size();
    now.used_bytes = slab_.bytes() - zeroed_.bytes() - unzeroed_.bytes();
    now.unzeroed_bytes = unzeroed_.bytes();
  });
  return now;
}

// --- Requests ---

std::optional<wire::Reply> MemoryServer::answer(Session& session, std::span<const std::byte> message) {
  const auto request = wire::decodeRequest(message);
  const auto* hello = request ? std::get_if<wire::Hello>(&request->body) : nullptr;
  // A client says who it is first, and once.
  if (!request || (session.client == 0) != (hello != nullptr)) {
    ++stats_.garbage;
    return std::nullopt;
  }
  ++stats_.requests;
  if (hello != nullptr) return greet(session, *request, *hello);

  Client& client = clients_.at(session.client);
  client.lease_until = Clock::now() + options_.lease;
  const bool remember = changesSomething(request->body);
  if (remember) {
    const auto before = std::ranges::find(client.answered, request->number, &wire::Reply::number);
    if (before != client.answered.end()) {
      ++stats_.replayed;
      return *before;
    }
  }
  wire::Reply reply = carryOut(client, session.client, request->body);
  reply.number = request->number;
  if (remember) {
    client.answered.push_back(reply);
    if (client.answered.size() > kRememberedReplies) client.answered.pop_front();
  }
  return reply;
}

std::optional<wire::Reply> MemoryServer::greet(Session& session, const wire::Request& request, const wire::Hello& hello) {
  if (hello.client == 0) {
    ++stats_.garbage;
    return std::nullopt;
  }
  wire::Reply reply;
  reply.number = request.number;
  const auto known = clients_.find(hello.client);
  if (known == clients_.end() && clients_.size() >= options_.max_clients) {
    reply.status = wire::Status::kFull;
    reply.limit_bytes = 0;
    return reply;
  }
  reply.value = card_.generation;
  reply.offset = known == clients_.end() ? 0 : 1;
  Client& client = clients_[hello.client];
  // What still lies in the older connection must not be done after what comes by this one.
  if (client.session != nullptr) domain_.endSession(*client.session);
  client.tenant = hello.tenant;
  client.lease_until = Clock::now() + options_.lease;
  domain_.tickBy(client.lease_until);
  client.session = &session;
  session.client = hello.client;
  return reply;
}

void MemoryServer::ended(Session& session) {
  const auto client = clients_.find(session.client);
  if (client != clients_.end() && client->second.session == &session) client->second.session = nullptr;
}

wire::Reply MemoryServer::carryOut(Client& client, std::uint64_t client_id, const wire::Body& body) {
  if (const auto* allocate = std::get_if<wire::Allocate>(&body)) return carryOut(client, client_id, *allocate);
  if (const auto* free = std::get_if<wire::Free>(&body)) return carryOut(client, *free);
  if (const auto* add = std::get_if<wire::FetchAdd>(&body)) return carryOut(client, *add);
  if (const auto* swap = std::get_if<wire::CompareAndSwap>(&body)) return carryOut(client, *swap);
  if (const auto* read = std::get_if<wire::ReadVersion>(&body)) return carryOut(client, *read);
  if (const auto* raise = std::get_if<wire::RaiseVersion>(&body)) return carryOut(client, *raise);
  return {};  // a ping
}

wire::Reply MemoryServer::carryOut(Client& client, std::uint64_t client_id, const wire::Allocate& allocate) {
  if (allocate.bytes == 0) return refusal(wire::Status::kBadRange);
  wire::Reply reply;
  std::size_t& used = used_bytes_[client.tenant];
  const std::size_t quota = quotaOf(client.tenant);
  // Compared before it is rounded up: what is asked for may be anything.
  const bool fits = allocate.bytes <= slab_.bytes();
  const std::size_t bytes = fits ? roundUp(allocate.bytes, kPageBytes) : allocate.bytes;
  if (bytes > quota - std::min(used, quota)) {
    reply.status = wire::Status::kQuotaExceeded;
    reply.used_bytes = used;
    reply.limit_bytes = quota;
    return reply;
  }
  const auto offset = fits ? takeZeroed(bytes) : std::nullopt;
  if (!offset) {
    reply.status = wire::Status::kFull;
    reply.used_bytes = slab_.bytes() - zeroed_.bytes() - unzeroed_.bytes();
    reply.limit_bytes = slab_.bytes();
    return reply;
  }
  used += bytes;
  spans_.emplace(*offset, Span{bytes, client_id, client.tenant});
  client.spans.insert(*offset);
  reply.offset = *offset;
  reply.value = bytes;
  return reply;
}

wire::Reply MemoryServer::carryOut(Client& client, const wire::Free& free) {
  const auto span = spanAt(client, free.slab, free.offset);
  if (span == spans_.end()) return refusal(wire::Status::kBadRegion);
  release(span);
  return {};
}

wire::Reply MemoryServer::carryOut(Client& client, const wire::FetchAdd& add) {
  std::uint64_t* word = wordAt(client, add.slab, add.offset);
  if (word == nullptr) return refusal(wire::Status::kBadRange);
  wire::Reply reply;
  reply.value = __atomic_fetch_add(word, add.operand, __ATOMIC_SEQ_CST);
  return reply;
}

wire::Reply MemoryServer::carryOut(Client& client, const wire::CompareAndSwap& swap) {
  std::uint64_t* word = wordAt(client, swap.slab, swap.offset);
  if (word == nullptr) return refusal(wire::Status::kBadRange);
  wire::Reply reply;
  reply.value = swap.expected;
  __atomic_compare_exchange_n(word, &reply.value, swap.desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return reply;
}

wire::Reply MemoryServer::carryOut(Client& client, const wire::ReadVersion& read) {
  const auto span = spanAt(client, read.slab, read.offset);
  if (span == spans_.end()) return refusal(wire::Status::kBadRegion);
  wire::Reply reply;
  reply.value = span->second.version;
  return reply;
}

wire::Reply MemoryServer::carryOut(Client& client, const wire::RaiseVersion& raise) {
  const auto span = spanAt(client, raise.slab, raise.offset);
  if (span == spans_.end()) return refusal(wire::Status::kBadRegion);
  wire::Reply reply;
  reply.value = ++span->second.version;
  return reply;
}

// --- Memory ---

std::size_t MemoryServer::quotaOf(std::uint64_t tenant) const {
  const auto own = options_.quotas_bytes.find(tenant);
  return own != options_.quotas_bytes.end() ? own->second : options_.quota_bytes.value_or(slab_.bytes());
}

// Memory that is not zeroed yet is, if there is no other: whoever asks waits for it, and so does everybody else.
std::optional<std::size_t> MemoryServer::takeZeroed(std::size_t bytes) {
  const Placement placement = {bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes, 0};
  if (const auto offset = zeroed_.takeBestFit(bytes, placement)) return offset;
  if (unzeroed_.empty()) return std::nullopt;
  zeroSome(unzeroed_.bytes());
  return zeroed_.takeBestFit(bytes, placement);
}

std::map<std::uint64_t, MemoryServer::Span>::iterator MemoryServer::spanAt(const Client& client, std::uint32_t slab,
                                                                           std::uint64_t offset) {
  const auto span = slab == 0 ? spans_.find(offset) : spans_.end();
  return span != spans_.end() && span->second.tenant == client.tenant ? span : spans_.end();
}

std::uint64_t* MemoryServer::wordAt(const Client& client, std::uint32_t slab, std::uint64_t offset) {
  if (slab != 0 || offset % sizeof(std::uint64_t) != 0) return nullptr;
  auto span = spans_.upper_bound(offset);
  if (span == spans_.begin()) return nullptr;
  span = std::prev(span);
  // Spans are whole pages, so that a word that starts in one ends in it.
  if (offset - span->first >= span->second.bytes || span->second.tenant != client.tenant) return nullptr;
  return reinterpret_cast<std::uint64_t*>(slab_.data(offset));
}

void MemoryServer::release(std::map<std::uint64_t, Span>::iterator span) {
  const auto& [offset, freed] = *span;
  used_bytes_[freed.tenant] -= freed.bytes;
  if (const auto owner = clients_.find(freed.client); owner != clients_.end()) owner->second.spans.erase(offset);
  unzeroed_.add(offset, freed.bytes);
  spans_.erase(span);
  domain_.tickBy(Clock::now());
}

void MemoryServer::zeroSome(std::size_t max_bytes) {
  while (max_bytes > 0) {
    const auto range = unzeroed_.takeLast(max_bytes);
    if (!range) return;
    const auto [offset, bytes] = *range;
    slab_.zero(offset, bytes);
    zeroed_.add(offset, bytes);
    max_bytes -= bytes;
  }
}

// --- Leases ---

Clock::time_point MemoryServer::tick(Clock::time_point now) {
  std::vector<std::uint64_t> late;
  Clock::time_point next = Clock::time_point::max();
  for (const auto& [id, client] : clients_) {
    if (client.lease_until <= now)
      late.push_back(id);
    else
      next = std::min(next, client.lease_until);
  }
  for (const std::uint64_t id : late) expire(id);
  zeroSome(kZeroStepBytes);
  return unzeroed_.empty() ? next : now;
}

void MemoryServer::expire(std::uint64_t client_id) {
  ++stats_.expired_leases;
  Client& client = clients_.at(client_id);
  if (client.session != nullptr) domain_.endSession(*client.session);
  while (!client.spans.empty()) release(spans_.find(*client.spans.begin()));
  clients_.erase(client_id);
}

}  // namespace sandloom
