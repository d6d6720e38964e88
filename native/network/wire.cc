#include "network/wire.h"

#include <concepts>
#include <type_traits>
#include <utility>

namespace sandloom::wire {
namespace {

constexpr std::uint32_t kRequestMagic = 0x31514c53;  // "SLQ1"
constexpr std::uint32_t kReplyMagic = 0x31524c53;    // "SLR1"
constexpr std::uint32_t kCardMagic = 0x31434c53;     // "SLC1"
constexpr std::size_t kMaxCardBytes = 4096;
constexpr std::size_t kMaxSlabs = 64;
constexpr std::size_t kMaxNameBytes = 64;

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  template <std::unsigned_integral Integer>
  void put(Integer value) {
    for (std::size_t index = 0; index < sizeof(Integer); ++index)
      out_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * index)));
  }
  void put(const std::string& text) {
    put(static_cast<std::uint8_t>(text.size()));
    for (const char character : text) out_.push_back(static_cast<std::byte>(character));
  }

 private:
  std::vector<std::byte>& out_;
};

// Whoever reads past the end gets zeros, and whole() is false from then on.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}

  template <std::unsigned_integral Integer>
  Integer get() {
    if (in_.size() < sizeof(Integer)) {
      short_ = true;
      in_ = {};
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t index = 0; index < sizeof(Integer); ++index)
      value |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(in_[index])) << (8 * index);
    in_ = in_.subspan(sizeof(Integer));
    return static_cast<Integer>(value);
  }
  std::string text(std::size_t max_bytes) {
    const std::size_t bytes = get<std::uint8_t>();
    if (bytes > in_.size() || bytes > max_bytes) {
      short_ = true;
      in_ = {};
      return {};
    }
    std::string text(reinterpret_cast<const char*>(in_.data()), bytes);
    in_ = in_.subspan(bytes);
    return text;
  }

  // Everything was there, and nothing else.
  bool whole() const { return !short_ && in_.empty(); }
  bool failed() const { return short_; }

 private:
  std::span<const std::byte> in_;
  bool short_ = false;
};

// Each body's fields, in the order of the wire, for reading and for writing.
void fields(Hello& body, auto&& each) { each(body.client), each(body.tenant); }
void fields(Allocate& body, auto&& each) { each(body.bytes); }
void fields(Free& body, auto&& each) { each(body.slab), each(body.offset); }
void fields(FetchAdd& body, auto&& each) { each(body.slab), each(body.offset), each(body.operand); }
void fields(CompareAndSwap& body, auto&& each) { each(body.slab), each(body.offset), each(body.expected), each(body.desired); }
void fields(ReadVersion& body, auto&& each) { each(body.slab), each(body.offset); }
void fields(RaiseVersion& body, auto&& each) { each(body.slab), each(body.offset); }
void fields(Ping&, auto&&) {}
void fields(Reply& reply, auto&& each) {
  each(reply.number), each(reply.slab), each(reply.offset), each(reply.value), each(reply.used_bytes), each(reply.limit_bytes);
}

template <std::size_t... Index>
std::optional<Body> emptyBody(std::size_t kind, std::index_sequence<Index...>) {
  std::optional<Body> body;
  ((kind == Index ? void(body.emplace(std::in_place_index<Index>)) : void()), ...);
  return body;
}

auto readerOf(Reader& reader) {
  return [&reader](auto& field) { field = reader.get<std::remove_reference_t<decltype(field)>>(); };
}
auto writerOf(Writer& writer) {
  return [&writer](const auto& field) { writer.put(field); };
}

Message messageOf(const std::vector<std::byte>& content) {
  Message message = {};
  message.size = content.size();
  std::copy(content.begin(), content.end(), message.bytes.begin());
  return message;
}

int digitOf(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return -1;
}

std::vector<std::byte> fromHex(std::string_view text) {
  std::vector<std::byte> content;
  for (std::size_t index = 0; index + 1 < text.size(); index += 2) {
    const int high = digitOf(text[index]);
    const int low = digitOf(text[index + 1]);
    if (high < 0 || low < 0) return {};
    content.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return content;
}

}  // namespace

Message encode(const Request& request) {
  std::vector<std::byte> content;
  Writer writer(content);
  writer.put(kRequestMagic);
  writer.put(static_cast<std::uint16_t>(request.body.index() + 1));
  writer.put(request.number);
  Body body = request.body;
  std::visit([&](auto& of_kind) { fields(of_kind, writerOf(writer)); }, body);
  return messageOf(content);
}

std::optional<Request> decodeRequest(std::span<const std::byte> message) {
  Reader reader(message);
  if (reader.get<std::uint32_t>() != kRequestMagic) return std::nullopt;
  const std::size_t kind = reader.get<std::uint16_t>();
  const auto number = reader.get<std::uint64_t>();
  std::optional<Body> body = emptyBody(kind - 1, std::make_index_sequence<std::variant_size_v<Body>>());
  if (!body) return std::nullopt;
  std::visit([&](auto& of_kind) { fields(of_kind, readerOf(reader)); }, *body);
  if (!reader.whole()) return std::nullopt;
  return Request{number, *body};
}

Message encode(const Reply& reply) {
  std::vector<std::byte> content;
  Writer writer(content);
  writer.put(kReplyMagic);
  writer.put(static_cast<std::uint16_t>(reply.status));
  Reply copy = reply;
  fields(copy, writerOf(writer));
  return messageOf(content);
}

std::optional<Reply> decodeReply(std::span<const std::byte> message) {
  Reader reader(message);
  if (reader.get<std::uint32_t>() != kReplyMagic) return std::nullopt;
  const auto status = reader.get<std::uint16_t>();
  if (status > static_cast<std::uint16_t>(Status::kSystemError)) return std::nullopt;
  Reply reply;
  reply.status = static_cast<Status>(status);
  fields(reply, readerOf(reader));
  if (!reader.whole()) return std::nullopt;
  return reply;
}

Error toError(const Reply& reply, std::uint64_t requested_bytes) {
  const Error::Values room = {{"requested_bytes", asValue(requested_bytes)},
                              {"limit_bytes", asValue(reply.limit_bytes)},
                              {"used_bytes", asValue(reply.used_bytes)}};
  switch (reply.status) {
    case Status::kFull:
      return {ErrorCode::kFabricFull, "the server's memory is full", room};
    case Status::kQuotaExceeded:
      return {ErrorCode::kQuotaExceeded, "the tenant's quota on the server is used up", room};
    case Status::kBadRange:
      return {ErrorCode::kBadRange, "not within memory that the server has given out"};
    case Status::kBadRegion:
      return {ErrorCode::kBadRegion, "the server has no such span"};
    case Status::kOk:
    case Status::kBadMessage:
    case Status::kSystemError:
      break;
  }
  return {ErrorCode::kBadMessage, "the server could not make sense of a request"};
}

std::string encodeCard(const Card& card) {
  if (card.provider.size() > kMaxNameBytes || card.address.size() > kMaxNameBytes || card.slabs.size() > kMaxSlabs)
    throw Error(ErrorCode::kBadArgument, "too much for one card");
  std::vector<std::byte> content;
  Writer writer(content);
  writer.put(kCardMagic);
  writer.put(card.provider);
  writer.put(card.address);
  writer.put(card.port);
  writer.put(card.generation);
  writer.put(static_cast<std::uint16_t>(card.slabs.size()));
  for (const SlabCard& slab : card.slabs) writer.put(slab.base), writer.put(slab.key), writer.put(slab.bytes);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : content) {
    text += kDigits[std::to_integer<std::size_t>(byte) >> 4];
    text += kDigits[std::to_integer<std::size_t>(byte) & 15];
  }
  return text;
}

Card decodeCard(std::string_view text) {
  const auto refuse = [] { return Error(ErrorCode::kBadMessage, "not a server's card"); };
  if (text.size() > 2 * kMaxCardBytes || text.size() % 2 != 0) throw refuse();
  const std::vector<std::byte> content = fromHex(text);
  Reader reader(content);
  if (reader.get<std::uint32_t>() != kCardMagic) throw refuse();
  Card card;
  card.provider = reader.text(kMaxNameBytes);
  card.address = reader.text(kMaxNameBytes);
  card.port = reader.get<std::uint16_t>();
  card.generation = reader.get<std::uint64_t>();
  const std::size_t slabs = reader.get<std::uint16_t>();
  if (slabs > kMaxSlabs) throw refuse();
  for (std::size_t index = 0; index < slabs && !reader.failed(); ++index) {
    SlabCard slab;
    slab.base = reader.get<std::uint64_t>();
    slab.key = reader.get<std::uint64_t>();
    slab.bytes = reader.get<std::uint64_t>();
    card.slabs.push_back(slab);
  }
  if (!reader.whole()) throw refuse();
  return card;
}

}  // namespace sandloom::wire
