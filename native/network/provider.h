// Which of libfabric's providers carries the fabric, and its objects.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "network/libfabric.h"

namespace sandloom {

// A numeric address as libfabric wants it.
struct SocketAddress {
  sockaddr_storage storage = {};
  std::size_t bytes = 0;
  std::uint32_t format = FI_FORMAT_UNSPEC;

  // Errors: BadArgument.
  static SocketAddress of(const std::string& address, std::uint16_t port);
};

// What a process opens once. Only the domain's thread uses it, after it was opened.
struct FabricObjects {
  std::string provider;
  Info info;
  Fid<fid_fabric> fabric;
  Fid<fid_domain> domain;
  // Providers that were tried before the chosen one, and why they were not it.
  std::vector<std::pair<std::string, std::string>> refused;

  bool needs(int mr_mode) const { return (info->domain_attr->mr_mode & mr_mode) != 0; }
  // `info` for another address; frees like any.
  Info infoFrom(const SocketAddress& address) const;
  Info infoTo(const SocketAddress& address) const;
};

// The first provider that opens on the address; only `forced` is tried if it is not empty. Errors: BadArgument, SystemError.
FabricObjects openFabric(const std::string& address, const std::string& forced);

}  // namespace sandloom
