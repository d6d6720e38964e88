// One connected libfabric endpoint, with the buffers of its messages and the contexts of what is under way on it.
//
// A completion names its context by address, and may be read from the queue after the endpoint was closed. So a closed endpoint is
// kept by the domain for a while (see Domain::bury), and its completions are dropped. Used only in the domain's thread.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "network/libfabric.h"
#include "network/provider.h"
#include "network/wire.h"

namespace sandloom {

// Memory that the provider knows.
struct Registration {
  Fid<fid_mr> object;

  // Errors: SystemError.
  static Registration of(const FabricObjects& objects, std::span<std::byte> memory, std::uint64_t access);
  void* descriptor() const { return object == nullptr ? nullptr : fi_mr_desc(object.get()); }
};

class Endpoint {
 public:
  // Reads and writes under way at most; also the requests that a client has under way.
  static constexpr unsigned kTransfers = 16;
  // Twice as many message buffers each way, as a buffer is free again only some time after its message was answered.
  static constexpr unsigned kMessages = 2 * kTransfers;
  // Completions that one endpoint can have waiting.
  static constexpr unsigned kCompletions = kTransfers + 2 * kMessages;

  class Owner {
   public:
    // The content lies in receive buffer `index`, which is the owner's until receiveAgain(index).
    virtual void messageArrived(unsigned index, std::span<const std::byte> content) = 0;
    virtual void messageSent(unsigned index) = 0;
    virtual void transferDone(unsigned index) = 0;
    virtual void connected() = 0;
    virtual void broken(const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  struct Transfer {
    unsigned index;
    bool write;
    std::span<std::byte> local;
    void* descriptor;
    std::uint64_t remote_address;
    std::uint64_t key;
  };

  // Opened, enabled and ready to receive, but not connected. Errors: SystemError.
  Endpoint(const FabricObjects& objects, fi_info& info, fid_eq& events, fid_cq& completions, Owner& owner);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Errors: SystemError.
  void connect(const SocketAddress& to);
  void accept();
  // Ends everything that is under way: memory of transfers may be used again once this has returned.
  void close();

  fid* id() const { return id_; }
  // Nothing once it is closed.
  Owner* owner() const { return fid_ == nullptr ? nullptr : &owner_; }

  // The following are false when the provider cannot take more just now. Errors: SystemError.
  bool post(const Transfer& transfer);
  bool send(unsigned index, std::span<const std::byte> content);
  bool receiveAgain(unsigned index);

  // What became of something that was posted; `bytes` of a message.
  static void complete(void* context, std::size_t bytes);
  static void fail(void* context, const std::string& why);

 private:
  enum class Use { kTransfer, kSend, kReceive };
  struct Posted {
    fi_context2 context;  // first: its address is what a completion names
    Endpoint* endpoint;
    Use use;
    unsigned index;
  };

  std::byte* sendBuffer(unsigned index) const { return messages_.data() + index * wire::kMaxMessageBytes; }
  std::byte* receiveBuffer(unsigned index) const { return sendBuffer(kMessages + index); }

  Owner& owner_;
  Mapping messages_;
  Registration registered_;
  std::array<Posted, kTransfers> transfers_;
  std::array<Posted, kMessages> sends_;
  std::array<Posted, kMessages> receives_;
  Fid<fid_ep> fid_;
  fid* id_ = nullptr;
};

}  // namespace sandloom
