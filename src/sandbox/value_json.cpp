#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sandbox/value.h"

namespace penstock::sandbox {
namespace {

/// Members in the order of their names, as the server shows them.
using Json = nlohmann::json;

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw RefusalError(0x0216, fmt::format("syntax error near '{}' ({})", text, why));
}

std::string number_text(double value) {
  if (std::floor(value) == value && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

}  // namespace

Datum json_tag(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos || text == "null")
    return Datum::none(data::Type::json);
  Json parsed;
  try {
    parsed = Json::parse(text);
  } catch (const Json::parse_error&) {
    refuse(text, "json parse error");
  } catch (const Json::out_of_range&) {
    refuse(text, "json value number is illegal");
  }
  if (!parsed.is_object()) refuse(text, "json error invalide value");
  // Of equal keys the server keeps the first, the library the last: read the members in their order again.
  Json kept = Json::object();
  class Members : public nlohmann::json_sax<Json> {
   public:
    explicit Members(Json& out) : out_(out) {}
    bool null() override { return put(nullptr); }
    bool boolean(bool v) override { return put(v); }
    bool number_integer(std::int64_t v) override { return put(v); }
    bool number_unsigned(std::uint64_t v) override { return put(v); }
    bool number_float(double v, const std::string&) override { return put(v); }
    bool string(std::string& v) override { return put(v); }
    bool binary(Json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return ++depth_ == 1; }
    bool key(std::string& v) override {
      key_ = v;
      return true;
    }
    bool end_object() override { return true; }
    bool start_array(std::size_t) override { return false; }
    bool end_array() override { return false; }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

   private:
    bool put(Json v) {
      if (!key_.empty() && !out_.contains(key_)) out_[key_] = std::move(v);
      return true;
    }
    Json& out_;
    std::string key_;
    int depth_ = 0;
  };
  Members members(kept);
  if (!Json::sax_parse(text, &members)) refuse(text, "invalidate json value");
  if (kept.empty()) return Datum::none(data::Type::json);
  std::string out = "{";
  for (const auto& [key, value] : kept.items()) {
    if (std::any_of(key.begin(), key.end(), [](char c) { return c < 32 || c > 126; }))
      refuse(key, "json key not validate");
    if (value.is_number() && !std::isfinite(value.get<double>())) refuse(text, "json value number is illegal");
    if (out.size() > 1) out += ',';
    out += Json(key).dump() + ':';
    if (value.is_number()) {
      out += number_text(value.get<double>());
    } else {
      out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
  }
  out += '}';
  if (out.size() > data::Limits::json_tag) throw RefusalError(0x2653, "Value too long for column/tag: json");
  return Datum::of_text(out, data::Type::json);
}

Datum json_member(const Datum& json, std::string_view key) {
  const auto none = Datum::none(data::Type::json);
  if (json.null) return none;
  const Json parsed = Json::parse(json.text, nullptr, false);
  if (!parsed.is_object()) return none;
  const auto found = parsed.find(std::string(key));
  if (found == parsed.end() || found->is_null()) return none;
  if (found->is_number()) return Datum::of_text(fmt::format("{:.9f}", found->get<double>()), data::Type::json);
  return Datum::of_text(found->dump(-1, ' ', false, Json::error_handler_t::replace), data::Type::json);
}

}  // namespace penstock::sandbox
