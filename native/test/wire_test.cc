#include "network/wire.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

namespace {

const std::vector<wire::Body> kBodies = {wire::Hello{1, 2},           wire::Allocate{3},
                                         wire::Free{4, 5},            wire::FetchAdd{6, 7, 8},
                                         wire::CompareAndSwap{9, 10, 11, 12}, wire::ReadVersion{13, 14},
                                         wire::RaiseVersion{15, ~std::uint64_t{0}}, wire::Ping{}};

const Card kCard = {.provider = "net",
                    .address = "192.0.2.1",
                    .port = 65535,
                    .generation = 0x0123456789abcdef,
                    .slabs = {{.base = 1, .key = 2, .bytes = 3}, {.base = 4, .key = 5, .bytes = ~std::uint64_t{0}}}};

}  // namespace

TEST_SUITE("wire") {
  TEST_CASE("every request is read as it was written") {
    CHECK(kBodies.size() == std::variant_size_v<wire::Body>);
    for (const wire::Body& body : kBodies) {
      const wire::Request request = {0x1122334455667788, body};
      CHECK(wire::decodeRequest(wire::encode(request).content()) == request);
    }
  }

  TEST_CASE("the layout is fixed, little-endian") {
    const wire::Message message = wire::encode(wire::Request{0x0807060504030201, wire::Free{0xd4c3b2a1, 5}});
    const std::array<unsigned, 26> expected = {'S', 'L', 'Q', '1', 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xa1, 0xb2, 0xc3, 0xd4, 5};
    REQUIRE(message.size == expected.size());
    for (std::size_t index = 0; index < expected.size(); ++index) CHECK(std::to_integer<unsigned>(message.bytes[index]) == expected[index]);
  }

  TEST_CASE("a reply is read as it was written") {
    const wire::Reply reply = {1, wire::Status::kQuotaExceeded, 2, 3, 4, 5, 6};
    CHECK(wire::decodeReply(wire::encode(reply).content()) == reply);
  }

  TEST_CASE("a message that is cut, longer, of another kind or of no kind is refused") {
    for (const wire::Body& body : kBodies) {
      wire::Message message = wire::encode(wire::Request{1, body});
      for (std::size_t bytes = 0; bytes < message.size; ++bytes) CHECK_FALSE(wire::decodeRequest(message.content().first(bytes)));
      CHECK_FALSE(wire::decodeReply(message.content()));
      message.bytes[message.size++] = std::byte{0};
      CHECK_FALSE(wire::decodeRequest(message.content()));
    }
    wire::Message message = wire::encode(wire::Request{1, wire::Ping{}});
    for (const unsigned kind : {0u, 9u, 255u}) {
      message.bytes[4] = static_cast<std::byte>(kind);
      CHECK_FALSE(wire::decodeRequest(message.content()));
    }
    wire::Message reply = wire::encode(wire::Reply{});
    reply.bytes[4] = std::byte{7};
    CHECK_FALSE(wire::decodeReply(reply.content()));
  }

  TEST_CASE("a card is one word, and is read as it was written") {
    const std::string text = wire::encodeCard(kCard);
    CHECK(text.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(wire::decodeCard(text) == kCard);
  }

  TEST_CASE("a damaged card is refused") {
    const std::string text = wire::encodeCard(kCard);
    for (std::size_t length = 0; length < text.size(); ++length)
      CHECK(errorOf([&] { wire::decodeCard(text.substr(0, length)); }) == "BadMessage");
    CHECK(errorOf([&] { wire::decodeCard(text + "00"); }) == "BadMessage");
    std::string with_letter = text;
    with_letter[20] = 'g';
    CHECK(errorOf([&] { wire::decodeCard(with_letter); }) == "BadMessage");
    CHECK(errorOf([&] { wire::decodeCard(std::string(1 << 20, '0')); }) == "BadMessage");
  }
}
