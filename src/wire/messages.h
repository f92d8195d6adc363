#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

/// Binary requests and answers on the WebSocket other than statements: TDengine's adapter 3.3.7.
namespace penstock::wire {

/// Number of a binary request.
enum class Action : std::uint64_t {
  stmt_set_tags = 1,
  stmt_bind = 2,
  binary_query = 6,
  fetch_raw_block = 7,
  stmt2_bind = 9,
  validate_sql = 10,
  stmt2_bind_exec = 11,
};

/// What every binary request begins with: u64 request id, u64 result or statement id, u64 action.
struct RequestHeader {
  std::uint64_t request_id = 0;
  std::uint64_t id = 0;
  std::uint64_t action = 0;
};
inline constexpr std::size_t kRequestHeaderBytes = 24;

/// nullopt when the message is shorter than a header. (The real adapter reads past the end or dies.)
std::optional<RequestHeader> read_request_header(std::string_view message) noexcept;

/// What the adapter answers to a request that it cannot read.
struct AdapterError {
  std::int32_t code = 0xFFFF;
  std::string message;
};

// --- query and validate: @24 u16 version 1, @26 u32 length, @30 SQL ---

/// `action` is binary_query or validate_sql. The adapter refuses an empty SQL.
std::string encode_query(std::uint64_t request_id, std::string_view sql, Action action = Action::binary_query);
/// The SQL as a view into the message, or the adapter's refusal. The header was read before.
Result<std::string_view, AdapterError> decode_query(std::string_view message);

// --- fetch_raw_block ---

/// 26 bytes: header, u16 version 1.
std::string encode_fetch(std::uint64_t request_id, std::uint64_t result_id);
/// Nothing when the request is well-formed.
std::optional<AdapterError> check_fetch(std::string_view message);

/// Answer to fetch_raw_block. `message` and `block` are views into the answer.
struct FetchAnswer {
  std::uint64_t timing_ns = 0;
  std::uint64_t request_id = 0;
  std::int32_t code = 0;
  std::string_view message;
  std::uint64_t result_id = 0;
  bool finished = false;   ///< no block in this answer, none follows
  std::string_view block;  ///< raw block (wire/block.h); empty when finished
};

/// Eight 0xff bytes mark answers to fetch_raw_block among binary answers.
bool is_fetch_answer(std::string_view message) noexcept;
/// Throws Error(Errc::protocol) when it is cut short or inconsistent.
FetchAnswer decode_fetch_answer(std::string_view message);
std::string encode_fetch_answer(const FetchAnswer& answer);

/// Answer to the older text action fetch_block: u64 timing, u64 result id, raw block.
struct FetchBlockAnswer {
  std::uint64_t timing_ns = 0;
  std::uint64_t result_id = 0;
  std::string_view block;
};
FetchBlockAnswer decode_fetch_block_answer(std::string_view message);
std::string encode_fetch_block_answer(const FetchBlockAnswer& answer);

}  // namespace penstock::wire
