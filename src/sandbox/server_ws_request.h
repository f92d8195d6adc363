#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::sandbox {

/// Code of what the adapter itself refuses.
inline constexpr std::int32_t kAdapterError = 65535;

/// Arguments of the wrong shape; the answer names the action.
struct UnmarshalError {};

/// Throws RefusalError.
[[noreturn]] void refuse_request(std::string text, std::int32_t code = kAdapterError);

/// Members of a JSON object by name, as Go's decoder sees them: names in any case, absent or null is the zero value, a
/// wrong type is an UnmarshalError (so a member may be read only for its check).
class WsArgs {
 public:
  /// `object`: an nlohmann::json object that outlives this, or null. Its type stays out of headers.
  explicit WsArgs(const void* object) : object_(object) {}

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  std::uint64_t u64(std::string_view name) const;
  std::optional<std::int64_t> i64(std::string_view name) const;
  std::string text(std::string_view name) const;
  bool boolean(std::string_view name) const;
  /// Any value as JSON text; "" when absent or null.
  [[nodiscard]] std::string json(std::string_view name) const;
  /// An nlohmann::json that is not null, or nullptr.
  [[nodiscard]] const void* find(std::string_view name) const;
  /// The same, also when it is null.
  [[nodiscard]] const void* member(std::string_view name) const;

 private:
  const void* object_;
};

/// One request while it is answered.
struct WsRequest {
  std::string action;
  std::uint64_t id = 0;
  std::optional<std::uint64_t> statement;  ///< answers to statement actions carry it
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  bool silent = false;
  bool id_before_action = false;      ///< the member order of /rest/schemaless
  bool without_id = false;            ///< `version` of the legacy endpoints has neither id nor timing
  std::optional<std::string> binary;  ///< answer in place of JSON
  std::string_view binary_tail;       ///< more bytes of it that need no copy; valid until the next request

  [[nodiscard]] std::int64_t elapsed_ns() const;
  /// `{"code":…,"message":…,"action":…,"req_id":…,"timing":…[,"stmt_id":…]MORE}`.
  [[nodiscard]] std::string answer(std::int32_t code, std::string_view message, std::string_view more) const;
};

}  // namespace penstock::sandbox
