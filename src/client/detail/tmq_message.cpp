#include "client/detail/tmq_message.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "client/detail/server_version.h"
#include "client/detail/session.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/tmq.h"

namespace penstock::client::detail {
namespace {

// Rows of one block that is there already.
struct BlockResult final : ResultState {
  std::shared_ptr<const std::string> bytes;
  std::string_view next;
  std::string zone;
  std::string_view fetch() override { return std::exchange(next, {}); }
  [[nodiscard]] std::string_view time_zone() const override { return zone; }
};

data::Precision precision_of(std::int64_t number) {
  return number == 1   ? data::Precision::microseconds
         : number == 2 ? data::Precision::nanoseconds
                       : data::Precision::milliseconds;
}

// As people declare it.
std::int32_t declared_length(data::Type type, std::int32_t stored_bytes) {
  switch (type) {
    case data::Type::varchar:
    case data::Type::varbinary:
    case data::Type::geometry: return stored_bytes - 2;
    case data::Type::nchar: return (stored_bytes - 2) / 4;
    case data::Type::blob:
    case data::Type::mediumblob: return stored_bytes - 4;
    case data::Type::json: return stored_bytes;
    default: return static_cast<std::int32_t>(data::fixed_size(type));
  }
}

// The places "from" and "to" of the head of a payload: each a kind (17: place in a log) and the place.
std::optional<std::int64_t> end_of(std::string_view head) {
  constexpr char kLog = 17;
  if (head.size() < 18 || head[0] != kLog || head[9] != kLog) return std::nullopt;
  return wire::load<std::int64_t>(head.data() + 10);
}

}  // namespace

std::shared_ptr<TmqLink> TmqMessage::need_link(std::string_view action) const {
  auto owner = link.lock();
  if (!owner || !owner->is_open() || owner->epoch() != epoch)
    throw TmqError(Errc::unreachable,
                   fmt::format("a message of '{}' was lost with its connection before it was read; what was not "
                               "committed comes again",
                               printable(topic)),
                   Place{owner ? owner->endpoint() : std::string(), std::string(action), 0});
  return owner;
}

void TmqMessage::fetch_raw(TmqLink& from) {
  if (answer_) return;
  const bool newer = version_at_least(from.version(), kBinaryQuerySince);
  const std::string action = newer ? "fetch_raw_data" : "fetch_raw";
  auto reply = from.call(action, fmt::format("\"message_id\":{}", id));
  const Place place{from.endpoint(), action, reply.json.request_id};
  if (reply.json.message_id != id)
    throw TmqError(Errc::protocol,
                   fmt::format("{} answered with message {} instead of {}", from.endpoint(), reply.json.message_id, id),
                   place);
  auto bytes = std::make_shared<const std::string>(std::move(reply.binary));
  try {
    if (newer) {
      const auto answer = wire::decode_raw_data_answer(*bytes);
      type_ = answer.type;
      payload_ = answer.payload;
    } else {
      const auto answer = wire::decode_raw_answer(*bytes);
      type_ = answer.type;
      payload_ = answer.payload;
    }
  } catch (const Error& error) {
    throw TmqError(Errc::protocol, fmt::format("{}: {}", from.endpoint(), error.what()), place);
  }
  answer_ = std::move(bytes);
}

Message::Raw TmqMessage::raw() {
  if (!answer_) fetch_raw(*need_link("fetch_raw_data"));
  return {type_, std::string(payload_)};
}

std::string TmqMessage::json() {
  if (!json_)
    json_ = need_link("fetch_json_meta")->call("fetch_json_meta", fmt::format("\"message_id\":{}", id)).json.data;
  return *json_;
}

std::vector<Message::Block> TmqMessage::blocks() {
  if (!parts_) {
    if (answer_) {
      read_payload();
    } else {
      const auto owner = need_link("fetch_raw_data");
      if (version_at_least(owner->version(), kBinaryQuerySince)) {
        fetch_raw(*owner);
        read_payload();
      } else {
        fetch_parts(*owner);
      }
    }
  }
  std::vector<Message::Block> out;
  out.reserve(parts_->size());
  for (const Part& part : *parts_) {
    auto state = std::make_unique<BlockResult>();
    state->fields = part.fields;
    state->precision = part.precision;
    state->bytes = part.bytes;
    state->next = part.block;
    state->zone = zone;
    out.push_back({part.table, Rows(std::move(state))});
  }
  return out;
}

void TmqMessage::read_payload() {
  const auto owner = link.lock();
  const Place place{owner ? owner->endpoint() : std::string(), "fetch_raw_data", 0};
  std::vector<Part> parts;
  try {
    if (type_ != static_cast<std::uint16_t>(wire::RawType::data) &&
        type_ != static_cast<std::uint16_t>(wire::RawType::data_and_meta))
      throw TmqError(Errc::protocol,
                     fmt::format("a message of '{}' has rows of the unknown form {}", printable(topic), type_), place);
    const auto payload = wire::decode_data_payload(payload_);
    if (!reach->end) reach->end = end_of(payload.head);
    for (std::size_t i = 0; i < payload.blocks.size(); ++i) {
      const auto& entry = payload.blocks[i];
      const auto block = wire::Block::decode(entry.block);
      Part& part = parts.emplace_back();
      part.table = entry.table;
      part.precision = precision_of(entry.precision);
      part.bytes = answer_;
      part.block = entry.block;
      const auto columns = payload.columns_of(i);
      if (!columns.empty() && columns.size() != block.columns())
        throw TmqError(Errc::protocol,
                       fmt::format("a message of '{}' names {} columns and has {}", printable(topic), columns.size(),
                                   block.columns()),
                       place);
      for (std::uint32_t c = 0; c < block.columns(); ++c) {
        Field& field = part.fields.emplace_back();
        if (!columns.empty()) field.name = columns[c].name;
        field.type = block.type(c);
        field.length = declared_length(field.type, block.stored_bytes(c));
        if (field.type == data::Type::decimal64 || field.type == data::Type::decimal128) {
          field.precision = block.digits(c);
          field.scale = block.scale(c);
        }
      }
    }
  } catch (const ClientError&) {
    throw;
  } catch (const Error& error) {
    throw TmqError(Errc::protocol, fmt::format("a message of '{}': {}", printable(topic), error.what()), place);
  }
  parts_ = std::move(parts);
}

void TmqMessage::fetch_parts(TmqLink& from) {
  std::vector<Part> parts;
  const auto argument = fmt::format("\"message_id\":{}", id);
  for (;;) {
    // The answer to fetch_block carries the id of the fetch.
    const auto request = from.next_request();
    auto head = from.call("fetch", argument, request).json;
    if (head.completed) break;
    auto reply = from.call("fetch_block", argument, request);
    Part& part = parts.emplace_back();
    try {
      part.bytes = std::make_shared<const std::string>(std::move(reply.binary));
      part.block = wire::decode_message_block_answer(*part.bytes).block;
      const auto block = wire::Block::decode(part.block);
      part.table = std::move(head.table);
      part.precision = precision_of(head.precision);
      for (std::uint32_t c = 0; c < block.columns(); ++c) {
        Field& field = part.fields.emplace_back();
        if (c < head.names.size()) field.name = std::move(head.names[c]);
        field.type = block.type(c);
        field.length = c < head.lengths.size() ? head.lengths[c] : declared_length(field.type, block.stored_bytes(c));
        if (field.type == data::Type::decimal64 || field.type == data::Type::decimal128) {
          field.precision = block.digits(c);
          field.scale = block.scale(c);
        }
      }
    } catch (const Error& error) {
      throw TmqError(Errc::protocol, fmt::format("{}: {}", from.endpoint(), error.what()),
                     Place{from.endpoint(), "fetch_block", request});
    }
  }
  parts_ = std::move(parts);
}

}  // namespace penstock::client::detail
