#include "client/detail/json_answer.h"

#include <nlohmann/json.hpp>

#include "wire/schemaless.h"

namespace penstock::client::detail {
namespace {

using nlohmann::json;

template <class T>
void read(const json& object, const char* name, T& value) {
  const auto found = object.find(name);
  if (found == object.end()) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (found->is_boolean()) value = found->get<bool>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (found->is_string()) value = found->get_ref<const std::string&>();
  } else if constexpr (std::is_arithmetic_v<T>) {
    if (found->is_number_integer()) value = found->get<T>();
  } else {
    if (!found->is_array()) return;
    for (const json& element : *found) {
      using Element = typename T::value_type;
      if constexpr (std::is_arithmetic_v<Element>)
        value.push_back(element.is_number_integer() ? element.get<Element>() : 0);
      else value.push_back(element.is_string() ? element.get<Element>() : Element());
    }
  }
}

void read_fields(const json& object, std::vector<JsonAnswer::Field>& fields) {
  const auto found = object.find("fields");
  if (found == object.end() || !found->is_array()) return;
  for (const json& element : *found) {
    auto& field = fields.emplace_back();
    if (!element.is_object()) continue;
    read(element, "name", field.name);
    read(element, "field_type", field.type);
    read(element, "precision", field.precision);
    read(element, "scale", field.scale);
    read(element, "bytes", field.bytes);
    read(element, "bind_type", field.bind_type);
  }
}

}  // namespace

std::optional<JsonAnswer> parse_answer(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto code = object.find("code");
  if (code == object.end() || !code->is_number_integer()) return std::nullopt;
  JsonAnswer answer;
  answer.code = static_cast<std::int32_t>(code->get<std::int64_t>() & 0xFFFF);
  read(object, "message", answer.message);
  read(object, "action", answer.action);
  read(object, "req_id", answer.request_id);
  read(object, "timing", answer.timing_ns);
  read(object, "version", answer.version);
  read(object, "db", answer.text);
  read(object, "info", answer.text);
  read(object, "id", answer.id);
  read(object, "stmt_id", answer.statement_id);
  read(object, "affected", answer.affected);
  read(object, "affected_rows", answer.affected);
  read(object, "total_rows", answer.total_rows);
  read(object, "is_insert", answer.is_insert);
  read(object, "completed", answer.completed);
  read(object, "precision", answer.precision);
  read(object, "fields_count", answer.field_count);
  read(object, "fields_names", answer.names);
  read(object, "fields_types", answer.types);
  read(object, "fields_lengths", answer.lengths);
  read(object, "fields_precisions", answer.precisions);
  read(object, "fields_scales", answer.scales);
  read_fields(object, answer.fields);
  return answer;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  wire::append_json_escaped(out, text);
  return out += '"';
}

}  // namespace penstock::client::detail
