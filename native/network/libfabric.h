// libfabric, found at run time: without it there is no fabric between servers, and everything else works.
//
// Its headers are vendored (third_party/libfabric); most of its interface are tables of functions in the objects that it opens,
// so only these few entry points are looked up by name.
#pragma once

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sandloom {

// Puts signal handlers back as they were when it was made. Debian's libfabric loads libpsm_infinipath, whose constructor takes
// SIGSEGV among others: V8's handler, which turns an access out of a WebAssembly memory into an exception, would be gone.
class SignalHandlerGuard {
 public:
  SignalHandlerGuard();
  ~SignalHandlerGuard();
  SignalHandlerGuard(const SignalHandlerGuard&) = delete;
  SignalHandlerGuard& operator=(const SignalHandlerGuard&) = delete;

 private:
  std::array<struct sigaction, 32> saved_ = {};
};

struct InfoDeleter {
  void operator()(fi_info* info) const;
};
using Info = std::unique_ptr<fi_info, InfoDeleter>;

template <typename Object>
struct FidCloser {
  void operator()(Object* object) const { fi_close(&object->fid); }
};
// An owned libfabric object.
template <typename Object>
using Fid = std::unique_ptr<Object, FidCloser<Object>>;

class Libfabric {
 public:
  // Loads it at the first call, which takes some 0.1 s. Never fails: see available().
  static const Libfabric& get();

  bool available() const { return reason_.empty(); }
  // Why it is not available, in words.
  const std::string& reason() const { return reason_; }
  // "1.17"
  std::string version() const;

  Info emptyInfo() const;
  Info copy(const fi_info& info) const;
  // What fi_getinfo finds on an address of this server; empty if nothing, with libfabric's negative code in `failure`.
  Info query(const char* address, const fi_info& hints, int& failure) const;
  int openFabric(fi_fabric_attr* attributes, fid_fabric** fabric) const { return fi_fabric_(attributes, fabric, nullptr); }
  // For codes of either sign: providers do not agree on it.
  std::string describe(long code) const;

  // Errors: SystemError, if `code` is one of failure (negative).
  void check(long code, const char* what) const;

 private:
  friend struct InfoDeleter;
  Libfabric();
  void load();

  std::string reason_;
  decltype(&::fi_getinfo) fi_getinfo_ = nullptr;
  decltype(&::fi_freeinfo) fi_freeinfo_ = nullptr;
  decltype(&::fi_dupinfo) fi_dupinfo_ = nullptr;
  decltype(&::fi_fabric) fi_fabric_ = nullptr;
  decltype(&::fi_strerror) fi_strerror_ = nullptr;
  decltype(&::fi_version) fi_version_ = nullptr;
};

}  // namespace sandloom
