#include "wire/tmq.h"

#include <fmt/format.h>

namespace penstock::wire {
namespace {

constexpr std::uint64_t kMarker = ~std::uint64_t{0};
constexpr std::uint64_t kRawData = 8;  // number of the action in answers
constexpr std::uint64_t kRaw = 3;
constexpr std::uint16_t kVersion = 1;
constexpr std::uint8_t kHeadVersion = 100;
constexpr std::uint8_t kLogOffset = 17;
constexpr std::size_t kEntryHead = 18;  // before the raw block

[[noreturn]] void malformed(std::string_view what, std::size_t at) {
  throw Error(Errc::protocol, fmt::format("the server sent a message of a subscription that is malformed: {} at byte "
                                          "{}; is something between this program and the adapter changing messages, or "
                                          "is the server of another version?",
                                          what, at));
}

// Takes pieces off the front of a message; refuses what is not there.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::string_view take(std::size_t count, std::string_view what) {
    if (count > bytes_.size() - at_) malformed(fmt::format("{} is cut short", what), at_);
    const auto piece = bytes_.substr(at_, count);
    at_ += count;
    return piece;
  }
  template <class T>
  T get(std::string_view what) {
    return load<T>(take(sizeof(T), what).data());
  }
  // Seven bits a byte, the lowest first; the top bit says that more follow.
  std::uint32_t varint(std::string_view what) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const auto byte = get<std::uint8_t>(what);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) {
        if (value > UINT32_MAX) break;
        return static_cast<std::uint32_t>(value);
      }
    }
    malformed(fmt::format("{} is no number of 32 bits", what), at_);
  }
  std::int32_t zigzag(std::string_view what) {
    const auto value = varint(what);
    return static_cast<std::int32_t>(value >> 1 ^ (0U - (value & 1U)));
  }
  std::string_view name(std::string_view what) {
    const auto length = varint(what);
    if (length == 0) malformed(fmt::format("{} has no end", what), at_);
    const auto text = take(length, what);
    if (text.back() != '\0') malformed(fmt::format("{} has no end", what), at_);
    return text.substr(0, text.size() - 1);
  }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  std::string_view rest() noexcept {
    const auto piece = bytes_.substr(at_);
    at_ = bytes_.size();
    return piece;
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

std::string_view read_head(Reader& in, std::string_view payload) {
  const auto version = in.get<std::uint8_t>("the head");
  if (version >= kHeadVersion) {
    const auto length = in.get<std::int32_t>("the head");
    if (length < 0) malformed("the length of the head is negative", in.at());
    return in.take(static_cast<std::size_t>(length), "the head");
  }
  const auto offset_bytes = [&](std::uint8_t kind) -> std::size_t {
    if (kind == 1) return 8;
    if (kind == 2 || kind == 3) return 16;
    malformed(fmt::format("the head has the unknown version {}", kind), in.at());
  };
  in.take(offset_bytes(version), "the head");
  in.take(offset_bytes(in.get<std::uint8_t>("the head")), "the head");
  return payload.substr(0, in.at());
}

void append_varint(std::string& out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_zigzag(std::string& out, std::int32_t value) {
  append_varint(out, static_cast<std::uint32_t>(value) << 1 ^ (value < 0 ? ~std::uint32_t{0} : 0));
}

void append_name(std::string& out, std::string_view name) {
  append_varint(out, static_cast<std::uint32_t>(name.size() + 1));
  out += name;
  out += '\0';
}

std::uint64_t big_endian(std::uint64_t value) noexcept { return __builtin_bswap64(value); }

}  // namespace

bool is_raw_data_answer(std::string_view message) noexcept {
  return message.size() >= 16 && load<std::uint64_t>(message.data()) == kMarker &&
         load<std::uint64_t>(message.data() + 8) == kRawData;
}

RawDataAnswer decode_raw_data_answer(std::string_view message) {
  if (!is_raw_data_answer(message)) malformed("the answer to fetch_raw_data does not begin as one", 0);
  Reader in(message.substr(16));
  RawDataAnswer answer;
  in.get<std::uint16_t>("the answer");
  answer.timing_ns = in.get<std::uint64_t>("the answer");
  answer.request_id = in.get<std::uint64_t>("the answer");
  answer.code = static_cast<std::int32_t>(in.get<std::uint32_t>("the answer") & 0xFFFF);
  answer.message = in.take(in.get<std::uint32_t>("the answer"), "the text of the answer");
  answer.message_id = in.get<std::uint64_t>("the answer");
  if (answer.code != 0) return answer;
  answer.type = in.get<std::uint16_t>("the type of the payload");
  answer.payload = in.take(in.get<std::uint32_t>("the length of the payload"), "the payload");
  return answer;
}

std::string encode_raw_data_answer(const RawDataAnswer& answer) {
  std::string out;
  out.reserve(56 + answer.message.size() + answer.payload.size());
  append(out, kMarker);
  append(out, kRawData);
  append(out, kVersion);
  append(out, answer.timing_ns);
  append(out, answer.request_id);
  append(out, static_cast<std::uint32_t>(answer.code));
  append(out, static_cast<std::uint32_t>(answer.message.size()));
  out += answer.message;
  append(out, answer.message_id);
  if (answer.code != 0) return out;
  append(out, answer.type);
  append(out, static_cast<std::uint32_t>(answer.payload.size()));
  out += answer.payload;
  return out;
}

RawAnswer decode_raw_answer(std::string_view message) {
  Reader in(message);
  RawAnswer answer;
  answer.timing_ns = in.get<std::uint64_t>("the answer to fetch_raw");
  answer.request_id = in.get<std::uint64_t>("the answer to fetch_raw");
  answer.message_id = in.get<std::uint64_t>("the answer to fetch_raw");
  if (in.get<std::uint64_t>("the answer to fetch_raw") != kRaw) malformed("the answer is none to fetch_raw", 24);
  const auto length = in.get<std::uint32_t>("the length of the payload");
  answer.type = in.get<std::uint16_t>("the type of the payload");
  answer.payload = in.take(length, "the payload");
  return answer;
}

std::string encode_raw_answer(const RawAnswer& answer) {
  std::string out;
  out.reserve(38 + answer.payload.size());
  append(out, answer.timing_ns);
  append(out, answer.request_id);
  append(out, answer.message_id);
  append(out, kRaw);
  append(out, static_cast<std::uint32_t>(answer.payload.size()));
  append(out, answer.type);
  out += answer.payload;
  return out;
}

MessageBlockAnswer decode_message_block_answer(std::string_view message) {
  Reader in(message);
  MessageBlockAnswer answer;
  answer.timing_ns = in.get<std::uint64_t>("the answer to fetch_block");
  answer.request_id = in.get<std::uint64_t>("the answer to fetch_block");
  answer.message_id = in.get<std::uint64_t>("the answer to fetch_block");
  answer.block = in.rest();
  return answer;
}

std::string encode_message_block_answer(const MessageBlockAnswer& answer) {
  std::string out;
  out.reserve(24 + answer.block.size());
  append(out, answer.timing_ns);
  append(out, answer.request_id);
  append(out, answer.message_id);
  out += answer.block;
  return out;
}

DataPayload decode_data_payload(std::string_view bytes) {
  Reader in(bytes);
  DataPayload payload;
  payload.head = read_head(in, bytes);
  const auto count = in.get<std::int32_t>("the number of blocks");
  payload.with_tables = in.get<std::uint8_t>("the options") != 0;
  payload.with_schemas = in.get<std::uint8_t>("the options") != 0;
  if (count < 0 || static_cast<std::size_t>(count) > in.left() / (kEntryHead + 1))
    malformed(fmt::format("{} blocks in {} bytes", count, in.left()), in.at());
  payload.blocks.resize(static_cast<std::size_t>(count));
  for (MessageBlock& block : payload.blocks) {
    const auto length = in.varint("the length of a block");
    if (length < kEntryHead) malformed("a block is shorter than its head", in.at());
    Reader entry(in.take(length, "a block"));
    entry.get<std::uint64_t>("a block");
    block.rows = big_endian(entry.get<std::uint64_t>("a block"));
    if (entry.get<std::uint8_t>("a block") != 0) malformed("a block is compressed in an unknown way", in.at());
    block.precision = entry.get<std::uint8_t>("a block");
    block.block = entry.rest();
    if (payload.with_schemas) {
      const auto columns = in.zigzag("a schema");
      block.schema_version = in.zigzag("a schema");
      if (columns < 0 || static_cast<std::size_t>(columns) > in.left() / 6)
        malformed(fmt::format("a schema of {} columns in {} bytes", columns, in.left()), in.at());
      block.first_column = payload.columns.size();
      block.column_count = static_cast<std::size_t>(columns);
      for (std::int32_t c = 0; c < columns; ++c) {
        SchemaColumn& column = payload.columns.emplace_back();
        column.type = static_cast<data::Type>(in.get<std::uint8_t>("a schema"));
        column.flags = in.get<std::uint8_t>("a schema");
        column.stored_bytes = in.zigzag("a schema");
        column.id = in.zigzag("a schema");
        column.name = in.name("the name of a column");
      }
    }
    if (payload.with_tables) block.table = in.name("the name of a table");
  }
  payload.tail = in.rest();
  return payload;
}

std::string encode_data_payload(const DataPayload& payload) {
  std::size_t size = 16 + payload.head.size() + payload.tail.size();
  for (const auto& block : payload.blocks) size += 32 + block.block.size() + block.table.size();
  for (const auto& column : payload.columns) size += 16 + column.name.size();
  std::string out;
  out.reserve(size);
  out += static_cast<char>(kHeadVersion);
  append(out, static_cast<std::int32_t>(payload.head.size()));
  out += payload.head;
  append(out, static_cast<std::int32_t>(payload.blocks.size()));
  out += payload.with_tables ? '\1' : '\0';
  out += payload.with_schemas ? '\1' : '\0';
  for (std::size_t b = 0; b < payload.blocks.size(); ++b) {
    const MessageBlock& block = payload.blocks[b];
    append_varint(out, static_cast<std::uint32_t>(kEntryHead + block.block.size()));
    append(out, std::uint64_t{1});
    append(out, big_endian(block.rows));
    out += '\0';
    out += static_cast<char>(block.precision);
    out += block.block;
    if (payload.with_schemas) {
      append_zigzag(out, static_cast<std::int32_t>(block.column_count));
      append_zigzag(out, block.schema_version);
      for (const SchemaColumn& column : payload.columns_of(b)) {
        out += static_cast<char>(column.type);
        out += static_cast<char>(column.flags);
        append_zigzag(out, column.stored_bytes);
        append_zigzag(out, column.id);
        append_name(out, column.name);
      }
    }
    if (payload.with_tables) append_name(out, block.table);
  }
  out += payload.tail;
  return out;
}

std::string message_head(std::int64_t from, std::int64_t next) {
  std::string head;
  append(head, kLogOffset);
  append(head, from);
  append(head, kLogOffset);
  append(head, next);
  return head;
}

}  // namespace penstock::wire
