#include "wire/messages.h"

#include <fmt/format.h>

#include <utility>

#include "wire/bytes.h"

namespace penstock::wire {
namespace {

constexpr std::uint64_t kFetchMarker = ~std::uint64_t{0};
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kFetchAnswerFixed = 51;  // of a message without text and block

void append_header(std::string& out, std::uint64_t request_id, std::uint64_t id, Action action) {
  append(out, request_id);
  append(out, id);
  append(out, number(action));
}

[[noreturn]] void bad_answer(const char* what, std::size_t size) {
  throw Error(
      Errc::protocol,
      fmt::format("the server's answer to a fetch is malformed: {} ({} bytes); is something between this program "
                  "and the adapter changing messages?",
                  what, size));
}

}  // namespace

std::optional<RequestHeader> read_request_header(std::string_view message) noexcept {
  if (message.size() < kRequestHeaderBytes) return std::nullopt;
  return RequestHeader{load<std::uint64_t>(message.data()), load<std::uint64_t>(message.data() + 8),
                       load<std::uint64_t>(message.data() + 16)};
}

std::string encode_query(std::uint64_t request_id, std::string_view sql, Action action) {
  std::string out;
  out.reserve(30 + sql.size());
  append_header(out, request_id, 0, action);
  append(out, kVersion);
  append(out, static_cast<std::uint32_t>(sql.size()));
  out += sql;
  return out;
}

Result<std::string_view, AdapterError> decode_query(std::string_view message) {
  if (message.size() < 31) return AdapterError{.message = "message length is too short"};
  const auto version = load<std::uint16_t>(message.data() + 24);
  if (version != kVersion) return AdapterError{.message = fmt::format("unknown binary query version:{}", version)};
  const auto length = load<std::uint32_t>(message.data() + 26);
  const auto rest = message.substr(30);
  if (length > rest.size())
    return AdapterError{
        .message = fmt::format("uncompleted message, sql length:{}, remainMessageLength:{}", length, rest.size())};
  return rest.substr(0, length);
}

std::string encode_fetch(std::uint64_t request_id, std::uint64_t result_id) {
  std::string out;
  out.reserve(26);
  append_header(out, request_id, result_id, Action::fetch_raw_block);
  append(out, kVersion);
  return out;
}

std::optional<AdapterError> check_fetch(std::string_view message) {
  if (message.size() < 26) return AdapterError{.message = "message length is too short"};
  if (load<std::uint16_t>(message.data() + 24) != kVersion)
    return AdapterError{.message = "unknown fetch raw block version"};
  return std::nullopt;
}

bool is_fetch_answer(std::string_view message) noexcept {
  return message.size() >= 16 && load<std::uint64_t>(message.data()) == kFetchMarker &&
         load<std::uint64_t>(message.data() + 8) == number(Action::fetch_raw_block);
}

FetchAnswer decode_fetch_answer(std::string_view message) {
  if (!is_fetch_answer(message)) bad_answer("it does not begin as one", message.size());
  if (message.size() < kFetchAnswerFixed) bad_answer("it is cut short", message.size());
  FetchAnswer answer;
  answer.timing_ns = load<std::uint64_t>(message.data() + 18);
  answer.request_id = load<std::uint64_t>(message.data() + 26);
  answer.code = static_cast<std::int32_t>(load<std::uint32_t>(message.data() + 34) & 0xFFFF);
  const std::size_t text = load<std::uint32_t>(message.data() + 38);
  if (text > message.size() - kFetchAnswerFixed) bad_answer("its text is longer than the answer", message.size());
  answer.message = message.substr(42, text);
  const char* const tail = message.data() + 42 + text;
  answer.result_id = load<std::uint64_t>(tail);
  answer.finished = tail[8] != 0;
  if (answer.finished || answer.code != 0) {
    answer.finished = true;
    return answer;
  }
  const std::size_t block_at = kFetchAnswerFixed + text + 4;
  if (message.size() < block_at) bad_answer("the length of the block is missing", message.size());
  const std::size_t length = load<std::uint32_t>(tail + 9);
  if (length > message.size() - block_at) bad_answer("its block is longer than the answer", message.size());
  answer.block = message.substr(block_at, length);
  return answer;
}

std::string encode_fetch_answer(const FetchAnswer& answer) {
  std::string out;
  out.reserve(kFetchAnswerFixed + 4 + answer.message.size() + answer.block.size());
  append(out, kFetchMarker);
  append(out, number(Action::fetch_raw_block));
  append(out, kVersion);
  append(out, answer.timing_ns);
  append(out, answer.request_id);
  append(out, static_cast<std::uint32_t>(answer.code));
  append(out, static_cast<std::uint32_t>(answer.message.size()));
  out += answer.message;
  append(out, answer.result_id);
  append(out, static_cast<std::uint8_t>(answer.finished ? 1 : 0));
  if (answer.finished) return out;
  append(out, static_cast<std::uint32_t>(answer.block.size()));
  out += answer.block;
  return out;
}

FetchBlockAnswer decode_fetch_block_answer(std::string_view message) {
  if (message.size() < 16) bad_answer("it is cut short", message.size());
  return {load<std::uint64_t>(message.data()), load<std::uint64_t>(message.data() + 8), message.substr(16)};
}

std::string encode_fetch_block_answer(const FetchBlockAnswer& answer) {
  std::string out;
  out.reserve(16 + answer.block.size());
  append(out, answer.timing_ns);
  append(out, answer.result_id);
  out += answer.block;
  return out;
}

}  // namespace penstock::wire
