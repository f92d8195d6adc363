#include "client/detail/native_message.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "client/detail/native_result.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

constexpr std::int32_t kBlockHead = 28;

// Rows of one block that is there already.
struct PartResult final : ResultState {
  std::shared_ptr<const std::string> bytes;
  std::string_view next;
  std::string zone;
  std::string_view fetch() override { return std::exchange(next, {}); }
  [[nodiscard]] std::string_view time_zone() const override { return zone; }
};

NativeOutcome read_parts(const NativeLibrary& library, native::Res* result, std::vector<NativeMessage::Part>& out) {
  for (;;) {
    int rows = 0;
    void* data = nullptr;
    if (const int code = library.fetch_raw_block(result, &rows, &data); code != 0)
      return outcome_of(code, library.error_text(result));
    if (rows <= 0 || data == nullptr) return {};
    const auto* const bytes = static_cast<const char*>(data);
    const auto length = wire::load<std::int32_t>(bytes + 4);
    if (length < kBlockHead) return {0xFFFF, fmt::format("the client library returned a block of {} bytes", length)};
    auto& part = out.emplace_back();
    if (const char* const table = library.tmq_table_name(result); table != nullptr) part.table = table;
    part.fields = fields_of(library, result);
    part.precision = precision_of(library, result);
    part.bytes = std::make_shared<const std::string>(bytes, static_cast<std::size_t>(length));
  }
}

}  // namespace

NativeMessage::~NativeMessage() {
  if (const auto owner = link.lock())
    owner->post([handle = result](NativeTmq& tmq) {
      if (tmq.messages.erase(handle) > 0) tmq.library.free_result(handle);
    });
}

std::shared_ptr<NativeTmqLink> NativeMessage::need_link(std::string_view action) const {
  auto owner = link.lock();
  if (!owner || owner->is_lost())
    throw TmqError(Errc::unreachable,
                   fmt::format("a message of '{}' was lost with its consumer; what was not committed comes again",
                               printable(topic)),
                   Place{owner ? owner->endpoint() : std::string(), std::string(action), 0});
  return owner;
}

std::vector<Message::Block> NativeMessage::blocks() {
  if (!parts_) {
    const auto owner = need_link("fetch");
    try {
      parts_ = owner->call<std::vector<Part>>(
          "fetch", [handle = result](NativeTmq& tmq, std::vector<Part>& out) -> NativeOutcome {
            return read_parts(tmq.library, handle, out);
          });
    } catch (...) {
      // The library gives a block once: the message can only come again as a whole.
      owner->lose();
      throw;
    }
  }
  std::vector<Message::Block> out;
  out.reserve(parts_->size());
  for (const Part& part : *parts_) {
    auto state = std::make_unique<PartResult>();
    state->fields = part.fields;
    state->precision = part.precision;
    state->bytes = part.bytes;
    state->next = *part.bytes;
    state->zone = zone;
    out.push_back({part.table, Rows(std::move(state))});
  }
  return out;
}

std::string NativeMessage::json() {
  const auto owner = need_link("fetch_json_meta");
  owner->library().need(owner->library().tmq_json_meta, "tmq_get_json_meta", "reading changes of tables");
  return owner->call<std::string>("fetch_json_meta", [handle = result](NativeTmq& tmq, std::string& out) {
    char* const text = tmq.library.tmq_json_meta(handle);
    if (text == nullptr) return last_outcome(tmq.library, 0x0110);
    out = text;
    if (tmq.library.tmq_free_json_meta != nullptr) tmq.library.tmq_free_json_meta(text);
    return NativeOutcome{};
  });
}

Message::Raw NativeMessage::raw() {
  const auto owner = need_link("fetch_raw");
  owner->library().need(owner->library().tmq_raw, "tmq_get_raw", "raw messages");
  owner->library().need(owner->library().tmq_free_raw, "tmq_free_raw", "raw messages");
  return owner->call<Message::Raw>("fetch_raw", [handle = result](NativeTmq& tmq, Message::Raw& out) -> NativeOutcome {
    native::RawData raw{};
    if (const auto code = tmq.library.tmq_raw(handle, &raw); code != 0)
      return outcome_of(code, tmq.library.tmq_error_text(code));
    out.type = raw.type;
    if (raw.raw != nullptr) out.bytes.assign(static_cast<const char*>(raw.raw), raw.length);
    tmq.library.tmq_free_raw(raw);
    return {};
  });
}

}  // namespace penstock::client::detail
