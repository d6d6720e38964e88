#include "network/domain.h"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace sandloom {
namespace {

constexpr std::size_t kMaxTransferBytes = kMiB;
constexpr std::chrono::microseconds kSpin{30};
constexpr std::size_t kCompletionsAtOnce = 64;
// While the thread is busy, deadlines and the like are looked at this often.
constexpr std::chrono::milliseconds kTimerStep{1};
// Events are few, and reading them costs several system calls: a busy thread does it now and then.
constexpr std::uint64_t kTurnsPerEvent = 16;
// Completions of a closed endpoint come, if at all, from fi_close itself: this is more than plenty.
constexpr std::chrono::seconds kBurial{1};
// While a provider cannot take what is to be posted, it is asked again this often.
constexpr std::chrono::microseconds kStallStep{200};

class Task final : public Work {
 public:
  explicit Task(std::function<void()> task) : task_(std::move(task)) {}
  void run(Domain&, std::unique_ptr<Work>) override { task_(); }

 private:
  std::function<void()> task_;
};

// What a thread waits for and the domain's thread sets. Shared by both, so that whoever is last may go first.
struct Waiter {
  std::atomic<std::uint32_t> done = 0;
  Outcome outcome;

  static Done callback(const std::shared_ptr<Waiter>& waiter) {
    return [waiter](Outcome outcome) {
      waiter->outcome = std::move(outcome);
      waiter->done.store(1, std::memory_order_release);
      waiter->done.notify_one();
    };
  }
  void wait() {
    done.wait(0, std::memory_order_acquire);
    if (outcome.error) throw *outcome.error;
  }
};

int descriptorOf(fid& object) {
  int fd = -1;
  Libfabric::get().check(fi_control(&object, FI_GETWAIT, &fd), "FI_GETWAIT");
  return fd;
}

}  // namespace

void Operation::run(Domain& domain, std::unique_ptr<Work> self) {
  static_cast<void>(self.release());
  domain.submit(std::unique_ptr<Operation>(this));
}

// --- Opening and closing ---

Domain::Domain(const Options& options)
    : options_(options), objects_(openFabric(options.address, options.provider)) {
  const Libfabric& library = Libfabric::get();
  spin_ = options.spin.value_or(std::thread::hardware_concurrency() > 2 ? kSpin : std::chrono::microseconds(0));
  // In `net` of libfabric 1.17 a wait descriptor stays readable once a completion was written, as its fi_trywait does nothing. The event
  // queue's is readable for the domain's sockets too, and events are few: see settleEvents.
  wakes_by_events_ = objects_.provider == "net";
  max_transfer_bytes_ = std::min(objects_.info->ep_attr->max_msg_size, kMaxTransferBytes);
  fi_eq_attr event_attributes = {};
  event_attributes.wait_obj = FI_WAIT_FD;
  fid_eq* events = nullptr;
  library.check(fi_eq_open(objects_.fabric.get(), &event_attributes, &events, nullptr), "fi_eq_open");
  events_.reset(events);
  fi_cq_attr completion_attributes = {};
  completion_attributes.format = FI_CQ_FORMAT_MSG;
  completion_attributes.wait_obj = wakes_by_events_ ? FI_WAIT_NONE : FI_WAIT_FD;
  completion_attributes.size = std::size_t{options.max_connections} * Endpoint::kCompletions;
  fid_cq* completions = nullptr;
  library.check(fi_cq_open(objects_.domain.get(), &completion_attributes, &completions, nullptr), "fi_cq_open");
  completions_.reset(completions);
  events_fd_ = descriptorOf(events->fid);
  if (!wakes_by_events_) completions_fd_ = descriptorOf(completions->fid);
  if (options.always_stage || objects_.needs(FI_MR_LOCAL)) {
    arena_.emplace();
    arena_registration_ = Registration::of(objects_, arena_->memory(), FI_READ | FI_WRITE);
  }
  thread_ = std::thread([this] { loop(); });
}

Domain::~Domain() {
  stopping_ = true;
  queue_.push(std::make_unique<Task>([] {}));
  thread_.join();
}

void Domain::close() {
  // Twice: callbacks may have asked for more, which is refused.
  for (int round = 0; round < 2; ++round) {
    takeWork();
    peers_.clear();
  }
  takeWork();
  stopListening();
  buried_.clear();
}

Domain::Stats Domain::stats() const {
  return {counters_.turns, counters_.sleeps, counters_.connections, counters_.lost, counters_.sessions, counters_.refused_sessions};
}

// --- For other threads ---

void Domain::runInside(const std::function<void()>& task) {
  const auto waiter = std::make_shared<Waiter>();
  std::exception_ptr thrown;
  queue_.push(std::make_unique<Task>([&task, &thrown, told = Waiter::callback(waiter)] {
    try {
      task();
    } catch (...) {
      thrown = std::current_exception();
    }
    told({});
  }));
  waiter->wait();
  if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
}

PeerId Domain::addPeer(const Card& card) {
  if (card.provider != provider())
    throw Error(ErrorCode::kBadArgument, "the server speaks " + card.provider + ", this one " + provider());
  const PeerId peer = next_peer_++;
  SocketAddress::of(card.address, card.port);  // refuses a bad one here
  queue_.push(std::make_unique<Task>([this, peer, card] { peers_.emplace(peer, std::make_unique<Connection>(*this, peer, card)); }));
  return peer;
}

void Domain::removePeer(PeerId peer) {
  runInside([this, peer] { peers_.erase(peer); });
}

void Domain::start(std::unique_ptr<Operation> operation) {
  operation->due = Clock::now() + operation->options.deadline;
  queue_.push(std::move(operation));
}

void Domain::read(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options,
                  Done done) {
  auto operation = std::make_unique<Operation>();
  operation->kind = Operation::Kind::kRead;
  operation->peer = peer;
  operation->options = options;
  operation->done = std::move(done);
  operation->slab = slab;
  operation->offset = offset;
  operation->local = out.data();
  operation->bytes = out.size();
  start(std::move(operation));
}

void Domain::write(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<const std::byte> in,
                   const OperationOptions& options, Done done) {
  auto operation = std::make_unique<Operation>();
  operation->kind = Operation::Kind::kWrite;
  operation->peer = peer;
  operation->options = options;
  operation->done = std::move(done);
  operation->slab = slab;
  operation->offset = offset;
  operation->local = const_cast<std::byte*>(in.data());  // an iovec knows no const
  operation->bytes = in.size();
  start(std::move(operation));
}

void Domain::call(PeerId peer, const wire::Body& body, const OperationOptions& options, Done done) {
  auto operation = std::make_unique<Operation>();
  operation->kind = Operation::Kind::kCall;
  operation->peer = peer;
  operation->options = options;
  operation->done = std::move(done);
  operation->request = {nextNumber(), body};
  start(std::move(operation));
}

void Domain::read(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<std::byte> out, const OperationOptions& options) {
  const auto waiter = std::make_shared<Waiter>();
  read(peer, slab, offset, out, options, Waiter::callback(waiter));
  waiter->wait();
}

void Domain::write(PeerId peer, std::uint32_t slab, std::uint64_t offset, std::span<const std::byte> in,
                   const OperationOptions& options) {
  const auto waiter = std::make_shared<Waiter>();
  write(peer, slab, offset, in, options, Waiter::callback(waiter));
  waiter->wait();
}

wire::Reply Domain::call(PeerId peer, const wire::Body& body, const OperationOptions& options) {
  const auto waiter = std::make_shared<Waiter>();
  call(peer, body, options, Waiter::callback(waiter));
  waiter->wait();
  return waiter->outcome.reply;
}

// --- The thread ---

void Domain::loop() {
  while (!stopping_) {
    const std::uint64_t turn = counters_.turns.fetch_add(1, std::memory_order_relaxed);
    bool busy = takeWork();
    busy = readCompletions() || busy;
    if (!busy || turn % kTurnsPerEvent == 0) {
      busy = readEvents() || busy;
      settleEvents(busy);
    }
    pumpAll();
    const Clock::time_point now = Clock::now();
    if (now >= timers_at_) handleTimers(now);
    if (busy)
      spin_until_ = now + spin_;
    else if (now >= spin_until_)
      sleep();
  }
  close();
}

bool Domain::takeWork() {
  std::unique_ptr<Work> work = queue_.takeAll();
  const bool any = work != nullptr;
  while (work != nullptr) {
    std::unique_ptr<Work> following = std::move(work->next);
    Work& item = *work;
    item.run(*this, std::move(work));
    work = std::move(following);
  }
  return any;
}

void Domain::submit(std::unique_ptr<Operation> operation) {
  const auto peer = peers_.find(operation->peer);
  if (peer != peers_.end()) return peer->second->submit(std::move(operation));
  operation->done({.error = Error(ErrorCode::kBadRegion, "there is no such peer")});
}

bool Domain::readCompletions() {
  std::array<fi_cq_msg_entry, kCompletionsAtOnce> entries;
  const ssize_t got = fi_cq_read(completions_.get(), entries.data(), entries.size());
  for (ssize_t index = 0; index < got; ++index) {
    const auto& entry = entries[static_cast<std::size_t>(index)];
    if (entry.op_context != nullptr) Endpoint::complete(entry.op_context, entry.len);
  }
  if (got == -FI_EAVAIL) {
    fi_cq_err_entry error = {};
    if (fi_cq_readerr(completions_.get(), &error, 0) > 0) Endpoint::fail(error.op_context, Libfabric::get().describe(error.err));
  }
  return got > 0 || got == -FI_EAVAIL;
}

Endpoint::Owner* Domain::ownerOf(const fid* id) const {
  const auto found = endpoints_.find(id);
  return found == endpoints_.end() ? nullptr : found->second->owner();
}

bool Domain::readEvents() {
  return readEvent(0);
}

bool Domain::readEvent(int timeout_ms) {
  // Room for an entry and what the other side may say when it connects, which is nothing.
  alignas(fi_eq_cm_entry) std::array<std::byte, sizeof(fi_eq_cm_entry) + 256> buffer;
  std::uint32_t event = 0;
  const ssize_t got = timeout_ms == 0 ? fi_eq_read(events_.get(), &event, buffer.data(), buffer.size(), 0)
                                      : fi_eq_sread(events_.get(), &event, buffer.data(), buffer.size(), timeout_ms, 0);
  if (got == -FI_EAVAIL) {
    fi_eq_err_entry error = {};
    if (fi_eq_readerr(events_.get(), &error, 0) > 0)
      if (auto* owner = ownerOf(error.fid); owner != nullptr) owner->broken("no connection: " + Libfabric::get().describe(error.err));
    return true;
  }
  if (got <= 0) return false;
  handleEvent(event, *reinterpret_cast<const fi_eq_cm_entry*>(buffer.data()));
  return true;
}

void Domain::handleEvent(std::uint32_t event, const fi_eq_cm_entry& entry) {
  if (event == FI_CONNREQ) return acceptClient(entry.info);
  auto* owner = ownerOf(entry.fid);
  if (owner == nullptr) return;
  if (event == FI_SHUTDOWN) return owner->broken("the other side ended the connection");
  if (event != FI_CONNECTED) return;
  counters_.connections.fetch_add(1, std::memory_order_relaxed);
  try {
    owner->connected();
  } catch (const Error& error) {
    owner->broken(error.what());
  }
}

void Domain::pumpAll() {
  for (const auto& [id, peer] : peers_) peer->pump();
  // By number, as a session that breaks is taken out.
  for (std::size_t index = sessions_.size(); index-- > 0;) sessions_[index]->pump();
}

void Domain::handleTimers(Clock::time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Operation& late = *deadlines_.begin()->second;
    peers_.at(late.peer)->expire(late);
  }
  for (const auto& [id, peer] : peers_) peer->onTimer(now);
  if (service_ != nullptr && now >= service_moment_) service_moment_ = service_->tick(now);
  std::erase_if(buried_, [now](const Buried& buried) { return now >= buried.until; });
  timers_at_ = now + kTimerStep;
}

Clock::time_point Domain::nextMoment() const {
  Clock::time_point next = service_moment_;
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  for (const auto& [id, peer] : peers_) {
    next = std::min(next, peer->nextTimer());
    if (peer->stalled()) next = std::min(next, Clock::now() + kStallStep);
  }
  for (const auto& session : sessions_)
    if (!session->unsent_.empty() || !session->unreceived_.empty()) next = std::min(next, Clock::now() + kStallStep);
  for (const Buried& buried : buried_) next = std::min(next, buried.until);
  return next;
}

void Domain::sleep() {
  std::array<fid*, 2> objects = {&events_->fid, &completions_->fid};
  const int watched = wakes_by_events_ ? 1 : 2;
  // Otherwise something came in since it was last looked; posting may complete what it posts, too.
  if (queue_.prepareToSleep() && !readCompletions() && fi_trywait(objects_.fabric.get(), objects.data(), watched) == 0) {
    // Last the one that may not be there: poll passes over negative descriptors.
    std::array<pollfd, 3> descriptors = {{{queue_.descriptor(), POLLIN, 0}, {events_fd_, POLLIN, 0}, {completions_fd_, POLLIN, 0}}};
    const Clock::time_point next = nextMoment();
    const auto wait = std::max(next == Clock::time_point::max() ? std::chrono::hours(1) : next - Clock::now(), Clock::duration(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait);
    const timespec timeout = {seconds.count(), std::chrono::nanoseconds(wait - seconds).count()};
    counters_.sleeps.fetch_add(1, std::memory_order_relaxed);
    ::ppoll(descriptors.data(), descriptors.size(), &timeout, nullptr);
    woken_for_events_ = (descriptors[1].revents & POLLIN) != 0;
    // What others read and write here leaves no completion: that it woke the thread is all that is seen of it.
    spin_until_ = Clock::now() + spin_;
  }
  queue_.awake();
  timers_at_ = {};
}

// The event queue's descriptor woke the thread for nothing, several times in a row: its signal is stuck. Of all calls only a read that
// waits takes it back; it waits for no longer than a millisecond, after some event of a connection.
void Domain::settleEvents(bool found_something) {
  constexpr unsigned kStuck = 3;
  futile_wakes_ = woken_for_events_ && !found_something ? futile_wakes_ + 1 : 0;
  woken_for_events_ = false;
  if (futile_wakes_ < kStuck) return;
  futile_wakes_ = 0;
  readEvent(1);
}

// --- For connections ---

std::unique_ptr<Endpoint> Domain::openEndpoint(fi_info& info, Endpoint::Owner& owner) {
  if (endpoints_.size() >= options_.max_connections) throw Error(ErrorCode::kSystemError, "too many connections");
  auto endpoint = std::make_unique<Endpoint>(objects_, info, *events_, *completions_, owner);
  endpoints_.emplace(endpoint->id(), endpoint.get());
  return endpoint;
}

void Domain::bury(std::unique_ptr<Endpoint> endpoint) {
  endpoints_.erase(endpoint->id());
  endpoint->close();
  buried_.push_back({std::move(endpoint), Clock::now() + kBurial});
}

std::multimap<Clock::time_point, Operation*>::iterator Domain::addDeadline(Operation& operation) {
  return deadlines_.emplace(operation.due, &operation);
}

// --- Serving ---

std::uint16_t Domain::listen(Service& service, std::uint16_t port) {
  const Libfabric& library = Libfabric::get();
  const Info info = objects_.infoFrom(SocketAddress::of(options_.address, port));
  fid_pep* listener = nullptr;
  library.check(fi_passive_ep(objects_.fabric.get(), info.get(), &listener, nullptr), "fi_passive_ep");
  Fid<fid_pep> owned(listener);
  library.check(fi_pep_bind(listener, &events_->fid, 0), "fi_pep_bind");
  library.check(fi_listen(listener), "fi_listen");
  sockaddr_storage bound = {};
  std::size_t bytes = sizeof bound;
  library.check(fi_getname(&listener->fid, &bound, &bytes), "fi_getname");
  listener_ = std::move(owned);
  service_ = &service;
  service_moment_ = Clock::now();
  timers_at_ = {};
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&bound);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&bound);
  return ntohs(bound.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
}

void Domain::stopListening() {
  listener_.reset();
  while (!sessions_.empty()) endSession(*sessions_.back());
  service_ = nullptr;
  service_moment_ = Clock::time_point::max();
}

void Domain::acceptClient(fi_info* request) {
  const Info info(request);
  std::unique_ptr<Session> session;
  try {
    if (service_ == nullptr) throw Error(ErrorCode::kSystemError, "nothing is served");
    session = std::make_unique<Session>(*this, *service_);
    session->endpoint_ = openEndpoint(*info, *session);
  } catch (const Error&) {
    counters_.refused_sessions.fetch_add(1, std::memory_order_relaxed);
    if (listener_ != nullptr) fi_reject(listener_.get(), info->handle, nullptr, 0);
    return;
  }
  try {
    session->endpoint_->accept();
  } catch (const Error&) {
    counters_.refused_sessions.fetch_add(1, std::memory_order_relaxed);
    return bury(std::move(session->endpoint_));
  }
  sessions_.push_back(std::move(session));
  counters_.sessions = sessions_.size();
}

void Domain::endSession(Session& session) {
  session.service_.ended(session);
  bury(std::move(session.endpoint_));
  std::erase_if(sessions_, [&session](const auto& candidate) { return candidate.get() == &session; });
  counters_.sessions = sessions_.size();
}

void Session::messageArrived(unsigned index, std::span<const std::byte> content) {
  const auto reply = service_.answer(*this, content);
  if (!reply) return domain_.endSession(*this);
  unsent_.emplace_back(index, wire::encode(*reply));
  pump();
}

void Session::messageSent(unsigned index) {
  // Only now: who sends more than it was answered waits for itself.
  unreceived_.push_back(index);
  pump();
}

void Session::broken(const std::string&) {
  domain_.endSession(*this);
}

void Session::pump() {
  try {
    std::erase_if(unreceived_, [this](unsigned index) { return endpoint_->receiveAgain(index); });
    std::erase_if(unsent_, [this](const auto& waiting) { return endpoint_->send(waiting.first, waiting.second.content()); });
  } catch (const Error&) {
    domain_.endSession(*this);
  }
}

}  // namespace sandloom
