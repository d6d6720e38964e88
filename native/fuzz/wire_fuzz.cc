// Feeds the readers of what comes from other servers. With clang: -fsanitize=fuzzer,address. Without: compiled with
// SANDLOOM_FUZZ_DRIVER it is a program that feeds random and mutated bytes,  wire_fuzz [rounds] [seed].
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "network/wire.h"

namespace {

// What was accepted must be written as it was read.
void require(bool holds) {
  if (!holds) std::abort();
}

bool same(std::span<const std::byte> one, std::span<const std::byte> other) {
  return std::string_view(reinterpret_cast<const char*>(one.data()), one.size()) ==
         std::string_view(reinterpret_cast<const char*>(other.data()), other.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace sandloom;
  const std::span<const std::byte> input = std::as_bytes(std::span(data, bytes));
  if (const auto request = wire::decodeRequest(input)) require(same(wire::encode(*request).content(), input));
  if (const auto reply = wire::decodeReply(input)) require(same(wire::encode(*reply).content(), input));
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  try {
    require(wire::encodeCard(wire::decodeCard(text)) == text);
  } catch (const Error&) {
  }
  return 0;
}

#ifdef SANDLOOM_FUZZ_DRIVER

#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

using Input = std::vector<std::uint8_t>;

Input inputOf(std::span<const std::byte> content) {
  Input input;
  for (const std::byte byte : content) input.push_back(std::to_integer<std::uint8_t>(byte));
  return input;
}

std::vector<Input> seeds() {
  using namespace sandloom;
  std::vector<Input> made;
  const wire::Body bodies[] = {wire::Hello{1, 2},          wire::Allocate{3},       wire::Free{4, 5},         wire::FetchAdd{6, 7, 8},
                               wire::CompareAndSwap{9, 1, 2, 3}, wire::ReadVersion{4, 5}, wire::RaiseVersion{6, 7}, wire::Ping{}};
  for (const wire::Body& body : bodies) made.push_back(inputOf(wire::encode(wire::Request{1, body}).content()));
  made.push_back(inputOf(wire::encode(wire::Reply{1, wire::Status::kFull, 2, 3, 4, 5, 6}).content()));
  Card card;
  card.provider = "net";
  card.address = "192.0.2.1";
  card.slabs = {{1, 2, 3}, {4, 5, 6}};
  const std::string text = wire::encodeCard(card);
  made.push_back(Input(text.begin(), text.end()));
  return made;
}

void mutate(Input& input, std::mt19937_64& random) {
  switch (random() % 4) {
    case 0:
      input.resize(random() % 300);
      break;
    case 1:
      input.push_back(static_cast<std::uint8_t>(random()));
      break;
    default:
      if (!input.empty()) input[random() % input.size()] = static_cast<std::uint8_t>(random());
  }
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned long long rounds = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1'000'000;
  std::mt19937_64 random(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1);
  const std::vector<Input> corpus = seeds();
  for (unsigned long long round = 0; round < rounds; ++round) {
    Input input = corpus[random() % corpus.size()];
    if (round % 4 == 0)
      for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(random());
    for (std::size_t step = random() % 5; step > 0; --step) mutate(input, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%llu rounds\n", rounds);
}

#endif
