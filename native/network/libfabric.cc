#include "network/libfabric.h"

#include <dlfcn.h>

#include <cstdlib>

#include "base/error.h"

namespace sandloom {
namespace {

constexpr std::uint32_t kApiVersion = FI_VERSION(1, 17);

template <typename Function>
bool lookUp(void* library, const char* name, Function& function, std::string& reason) {
  void* symbol = ::dlsym(library, name);
  if (symbol == nullptr) reason = std::string("libfabric.so.1 has no ") + name;
  function = reinterpret_cast<Function>(symbol);
  return symbol != nullptr;
}

}  // namespace

SignalHandlerGuard::SignalHandlerGuard() {
  for (std::size_t signal = 1; signal < saved_.size(); ++signal) ::sigaction(static_cast<int>(signal), nullptr, &saved_[signal]);
}

SignalHandlerGuard::~SignalHandlerGuard() {
  for (std::size_t signal = 1; signal < saved_.size(); ++signal) {
    struct sigaction now = {};
    if (::sigaction(static_cast<int>(signal), nullptr, &now) != 0) continue;
    if (now.sa_sigaction != saved_[signal].sa_sigaction || now.sa_flags != saved_[signal].sa_flags)
      ::sigaction(static_cast<int>(signal), &saved_[signal], nullptr);
  }
}

void InfoDeleter::operator()(fi_info* info) const {
  Libfabric::get().fi_freeinfo_(info);
}

// Never unloaded: providers start threads, and have code that runs at exit.
const Libfabric& Libfabric::get() {
  static const Libfabric library;
  return library;
}

Libfabric::Libfabric() {
  load();
}

void Libfabric::load() {
  const SignalHandlerGuard guard;
  void* library = ::dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    reason_ = why == nullptr ? "libfabric.so.1 cannot be loaded" : why;
    return;
  }
  const bool complete = lookUp(library, "fi_getinfo", fi_getinfo_, reason_) && lookUp(library, "fi_freeinfo", fi_freeinfo_, reason_) &&
                        lookUp(library, "fi_dupinfo", fi_dupinfo_, reason_) && lookUp(library, "fi_fabric", fi_fabric_, reason_) &&
                        lookUp(library, "fi_strerror", fi_strerror_, reason_) && lookUp(library, "fi_version", fi_version_, reason_);
  if (!complete) return;
  if (fi_version_() < kApiVersion) {
    reason_ = "libfabric " + version() + " is older than 1.17";
    return;
  }
  // The first query starts every provider; some of them set handlers then.
  fi_info* infos = nullptr;
  const int failure = fi_getinfo_(kApiVersion, nullptr, nullptr, 0, nullptr, &infos);
  if (failure != 0)
    reason_ = "libfabric finds no provider: " + describe(failure);
  else
    fi_freeinfo_(infos);
}

std::string Libfabric::version() const {
  if (fi_version_ == nullptr) return {};
  const std::uint32_t version = fi_version_();
  return std::to_string(FI_MAJOR(version)) + "." + std::to_string(FI_MINOR(version));
}

Info Libfabric::emptyInfo() const {
  Info info(fi_dupinfo_(nullptr));
  if (info == nullptr) throw Error::system("fi_allocinfo", ENOMEM);
  return info;
}

Info Libfabric::copy(const fi_info& info) const {
  Info made(fi_dupinfo_(&info));
  if (made == nullptr) throw Error::system("fi_dupinfo", ENOMEM);
  return made;
}

Info Libfabric::query(const char* address, const fi_info& hints, int& failure) const {
  fi_info* infos = nullptr;
  failure = fi_getinfo_(kApiVersion, address, nullptr, FI_SOURCE | FI_NUMERICHOST, &hints, &infos);
  return Info(failure == 0 ? infos : nullptr);
}

std::string Libfabric::describe(long code) const {
  return fi_strerror_ == nullptr ? std::to_string(code) : fi_strerror_(static_cast<int>(std::labs(code)));
}

void Libfabric::check(long code, const char* what) const {
  if (code >= 0) return;
  throw Error(ErrorCode::kSystemError, std::string(what) + ": " + describe(code), {{"errno", asValue(-code)}});
}

}  // namespace sandloom
