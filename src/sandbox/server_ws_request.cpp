#include "sandbox/server_ws_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/engine.h"
#include "sandbox/result_json.h"

namespace penstock::sandbox {
namespace {

using Json = nlohmann::json;

bool equal_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

const Json* json_of(const void* value) { return static_cast<const Json*>(value); }

}  // namespace

void refuse_request(std::string text, std::int32_t code) { throw RefusalError(code, std::move(text)); }

const void* WsArgs::member(std::string_view name) const {
  if (object_ == nullptr) return nullptr;
  const Json& object = *json_of(object_);
  // The adapter reads member names in any case; an exact one wins here.
  if (const auto exact = object.find(name); exact != object.end()) return &*exact;
  for (const auto& [key, value] : object.items()) {
    if (equal_any_case(key, name)) return &value;
  }
  return nullptr;
}

const void* WsArgs::find(std::string_view name) const {
  const void* value = member(name);
  return value == nullptr || json_of(value)->is_null() ? nullptr : value;
}

std::uint64_t WsArgs::u64(std::string_view name) const {
  const Json* value = json_of(find(name));
  if (value == nullptr) return 0;
  if (!value->is_number_unsigned()) throw UnmarshalError{};
  return value->get<std::uint64_t>();
}

std::optional<std::int64_t> WsArgs::i64(std::string_view name) const {
  const Json* value = json_of(find(name));
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) throw UnmarshalError{};
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) throw UnmarshalError{};
  return value->get<std::int64_t>();
}

std::string WsArgs::text(std::string_view name) const {
  const Json* value = json_of(find(name));
  if (value == nullptr) return {};
  if (!value->is_string()) throw UnmarshalError{};
  return value->get<std::string>();
}

bool WsArgs::boolean(std::string_view name) const {
  const Json* value = json_of(find(name));
  if (value == nullptr) return false;
  if (!value->is_boolean()) throw UnmarshalError{};
  return value->get<bool>();
}

std::string WsArgs::json(std::string_view name) const {
  const Json* value = json_of(find(name));
  return value == nullptr ? std::string() : value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::int64_t WsRequest::elapsed_ns() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begun).count();
}

std::string WsRequest::answer(std::int32_t code, std::string_view message, std::string_view more) const {
  std::string text = fmt::format("{{\"code\":{},\"message\":", code);
  append_json_text(text, message);
  const auto out = std::back_inserter(text);
  if (id_before_action && code == 0) fmt::format_to(out, ",\"req_id\":{}", id);
  text += ",\"action\":";
  append_json_text(text, action);
  if (!without_id || code != 0) {
    if (!id_before_action || code != 0) fmt::format_to(out, ",\"req_id\":{}", id);
    fmt::format_to(out, ",\"timing\":{}", elapsed_ns());
  }
  if (statement) fmt::format_to(out, ",\"stmt_id\":{}", *statement);
  return text.append(more) += '}';
}

}  // namespace penstock::sandbox
