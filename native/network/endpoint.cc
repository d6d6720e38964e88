#include "network/endpoint.h"

#include <sys/uio.h>

#include <cstring>
#include <type_traits>

#include "base/error.h"
#include "base/units.h"
#include "network/random_number.h"

namespace sandloom {
namespace {

constexpr std::size_t kBufferBytes = 2 * Endpoint::kMessages * wire::kMaxMessageBytes;

bool posted(long code, const char* what) {
  if (code == -FI_EAGAIN) return false;
  Libfabric::get().check(code, what);
  return true;
}

// Keys of our own choice are random, so that one that is out of date does not fit another server's memory by chance.
std::uint64_t randomKey() {
  return randomNumber() >> 1;  // FI_KEY_NOTAVAIL is all ones
}

}  // namespace

Registration Registration::of(const FabricObjects& objects, std::span<std::byte> memory, std::uint64_t access) {
  const std::uint64_t key = objects.needs(FI_MR_PROV_KEY) ? 0 : randomKey();
  fid_mr* made = nullptr;
  Libfabric::get().check(
      fi_mr_reg(objects.domain.get(), memory.data(), memory.size(), access, 0, key, 0, &made, nullptr), "fi_mr_reg");
  Registration registration;
  registration.object.reset(made);
  return registration;
}

Endpoint::Endpoint(const FabricObjects& objects, fi_info& info, fid_eq& events, fid_cq& completions, Owner& owner)
    : owner_(owner), messages_(Mapping::anonymous(kBufferBytes, kPageBytes)) {
  static_assert(std::is_standard_layout_v<Posted>);
  for (unsigned index = 0; index < kTransfers; ++index) transfers_[index] = {{}, this, Use::kTransfer, index};
  for (unsigned index = 0; index < kMessages; ++index) sends_[index] = {{}, this, Use::kSend, index};
  for (unsigned index = 0; index < kMessages; ++index) receives_[index] = {{}, this, Use::kReceive, index};
  const Libfabric& library = Libfabric::get();
  registered_ = Registration::of(objects, {messages_.data(), messages_.bytes()}, FI_SEND | FI_RECV);
  fid_ep* endpoint = nullptr;
  library.check(fi_endpoint(objects.domain.get(), &info, &endpoint, nullptr), "fi_endpoint");
  fid_.reset(endpoint);
  id_ = &endpoint->fid;
  library.check(fi_ep_bind(endpoint, &events.fid, 0), "fi_ep_bind");
  library.check(fi_ep_bind(endpoint, &completions.fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
  library.check(fi_enable(endpoint), "fi_enable");
  for (unsigned index = 0; index < kMessages; ++index)
    if (!receiveAgain(index)) throw Error(ErrorCode::kSystemError, "fi_recv: no room");
}

void Endpoint::connect(const SocketAddress& to) {
  Libfabric::get().check(fi_connect(fid_.get(), &to.storage, nullptr, 0), "fi_connect");
}

void Endpoint::accept() {
  Libfabric::get().check(fi_accept(fid_.get(), nullptr, 0), "fi_accept");
}

void Endpoint::close() {
  fid_.reset();
}

// A write completes when the peer's memory has it (FI_DELIVERY_COMPLETE); some providers heed that only as a flag of each one.
bool Endpoint::post(const Transfer& transfer) {
  const iovec local = {transfer.local.data(), transfer.local.size()};
  const fi_rma_iov remote = {transfer.remote_address, transfer.local.size(), transfer.key};
  void* descriptor = transfer.descriptor;
  fi_msg_rma message = {};
  message.msg_iov = &local;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.rma_iov = &remote;
  message.rma_iov_count = 1;
  message.context = &transfers_[transfer.index].context;
  if (transfer.write) return posted(fi_writemsg(fid_.get(), &message, FI_COMPLETION | FI_DELIVERY_COMPLETE), "fi_writemsg");
  return posted(fi_readmsg(fid_.get(), &message, FI_COMPLETION), "fi_readmsg");
}

bool Endpoint::send(unsigned index, std::span<const std::byte> content) {
  std::memcpy(sendBuffer(index), content.data(), content.size());
  return posted(
      fi_send(fid_.get(), sendBuffer(index), content.size(), registered_.descriptor(), 0, &sends_[index].context), "fi_send");
}

bool Endpoint::receiveAgain(unsigned index) {
  return posted(fi_recv(fid_.get(), receiveBuffer(index), wire::kMaxMessageBytes, registered_.descriptor(), 0,
                        &receives_[index].context),
                "fi_recv");
}

void Endpoint::complete(void* context, std::size_t bytes) {
  const auto* posted_one = static_cast<Posted*>(context);
  Endpoint& endpoint = *posted_one->endpoint;
  Owner* owner = endpoint.owner();
  if (owner == nullptr) return;
  const unsigned index = posted_one->index;
  switch (posted_one->use) {
    case Use::kTransfer:
      return owner->transferDone(index);
    case Use::kSend:
      return owner->messageSent(index);
    case Use::kReceive:
      return owner->messageArrived(index, {endpoint.receiveBuffer(index), bytes});
  }
}

void Endpoint::fail(void* context, const std::string& why) {
  if (context == nullptr) return;
  if (Owner* owner = static_cast<Posted*>(context)->endpoint->owner(); owner != nullptr) owner->broken(why);
}

}  // namespace sandloom
