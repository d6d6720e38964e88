#include "network/provider.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace sandloom {
namespace {

// `net` is a separate provider until libfabric 1.18, and is `tcp` from then on.
constexpr const char* kPreferred[] = {"verbs", "net", "tcp"};

Info hintsFor(const char* provider, std::uint32_t address_format) {
  Info hints = Libfabric::get().emptyInfo();
  hints->caps = FI_MSG | FI_RMA;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->addr_format = address_format;
  hints->ep_attr->type = FI_EP_MSG;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  // All that any provider may ask for; it clears what it does not need.
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  hints->fabric_attr->prov_name = ::strdup(provider);
  return hints;
}

// libfabric frees addresses with free().
void setAddress(void*& address, std::size_t& bytes, const SocketAddress& to) {
  std::free(address);
  address = std::malloc(to.bytes);
  if (address == nullptr) throw Error::system("malloc", ENOMEM);
  std::memcpy(address, &to.storage, to.bytes);
  bytes = to.bytes;
}

// Opens what a domain needs, and a passive endpoint as a trial: that one binds the address.
FabricObjects open(const char* provider, const std::string& address, const SocketAddress& any_port) {
  const Libfabric& library = Libfabric::get();
  FabricObjects objects;
  objects.provider = provider;
  int failure = 0;
  objects.info = library.query(address.c_str(), *hintsFor(provider, any_port.format), failure);
  library.check(objects.info == nullptr && failure == 0 ? -FI_ENODATA : failure, "fi_getinfo");
  fid_fabric* fabric = nullptr;
  library.check(library.openFabric(objects.info->fabric_attr, &fabric), "fi_fabric");
  objects.fabric.reset(fabric);
  fid_domain* domain = nullptr;
  library.check(fi_domain(fabric, objects.info.get(), &domain, nullptr), "fi_domain");
  objects.domain.reset(domain);
  const Info listening = objects.infoFrom(any_port);
  fid_pep* trial = nullptr;
  library.check(fi_passive_ep(fabric, listening.get(), &trial, nullptr), "fi_passive_ep");
  Fid<fid_pep>{trial};
  return objects;
}

}  // namespace

SocketAddress SocketAddress::of(const std::string& address, std::uint16_t port) {
  SocketAddress made;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&made.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&made.storage);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    made.bytes = sizeof(sockaddr_in);
    made.format = FI_SOCKADDR_IN;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    made.bytes = sizeof(sockaddr_in6);
    made.format = FI_SOCKADDR_IN6;
  } else {
    throw Error(ErrorCode::kBadArgument, "not a numeric address: " + address);
  }
  return made;
}

Info FabricObjects::infoFrom(const SocketAddress& address) const {
  Info made = Libfabric::get().copy(*info);
  setAddress(made->src_addr, made->src_addrlen, address);
  return made;
}

Info FabricObjects::infoTo(const SocketAddress& address) const {
  Info made = Libfabric::get().copy(*info);
  setAddress(made->dest_addr, made->dest_addrlen, address);
  return made;
}

FabricObjects openFabric(const std::string& address, const std::string& forced) {
  const Libfabric& library = Libfabric::get();
  if (!library.available()) throw Error(ErrorCode::kSystemError, "no fabric between servers: " + library.reason());
  const SocketAddress any_port = SocketAddress::of(address, 0);
  std::vector<std::pair<std::string, std::string>> refused;
  for (const char* provider : kPreferred) {
    if (!forced.empty() && forced != provider) continue;
    try {
      FabricObjects objects = open(provider, address, any_port);
      objects.refused = std::move(refused);
      return objects;
    } catch (const Error& error) {
      refused.emplace_back(provider, error.what());
    }
  }
  std::string why = refused.empty() ? "; it is not one of verbs, net and tcp" : "";
  for (const auto& [provider, reason] : refused) why.append("; ").append(provider).append(": ").append(reason);
  throw Error(ErrorCode::kSystemError, "no provider " + forced + " opens on " + address + why);
}

}  // namespace sandloom
