#include "client/detail/tmq_answer.h"

#include <simdjson.h>

#include <concepts>

namespace penstock::client::detail {
namespace {

namespace dom = simdjson::dom;

template <class T>
void read(const dom::object& object, std::string_view name, T& value) {
  const auto found = object[name];
  if constexpr (std::same_as<T, bool>) {
    bool flag = false;
    if (found.get(flag) == simdjson::SUCCESS) value = flag;
  } else if constexpr (std::same_as<T, std::string>) {
    std::string_view text;
    if (found.get(text) == simdjson::SUCCESS) value = text;
  } else if constexpr (std::same_as<T, std::uint64_t>) {
    std::uint64_t number = 0;
    if (found.get(number) == simdjson::SUCCESS) value = number;
  } else {
    std::int64_t number = 0;
    if (found.get(number) == simdjson::SUCCESS) value = static_cast<T>(number);
  }
}

// Every element gives one, so that lists of the same members stay in step.
template <class T>
void read_list(const dom::object& object, std::string_view name, std::vector<T>& values) {
  dom::array array;
  if (object[name].get(array) != simdjson::SUCCESS) return;
  for (const dom::element element : array) {
    T& value = values.emplace_back();
    if constexpr (std::same_as<T, std::string>) {
      std::string_view text;
      if (element.get(text) == simdjson::SUCCESS) value = text;
    } else if constexpr (std::same_as<T, Assignment>) {
      dom::object entry;
      if (element.get(entry) != simdjson::SUCCESS) continue;
      read(entry, "vgroup_id", value.vgroup);
      read(entry, "offset", value.offset);
      read(entry, "begin", value.begin);
      read(entry, "end", value.end);
    } else {
      std::int64_t number = 0;
      if (element.get(number) == simdjson::SUCCESS) value = static_cast<T>(number);
    }
  }
}

}  // namespace

std::optional<TmqAnswer> parse_tmq_answer(std::string_view text) {
  dom::parser parser;
  dom::object object;
  std::int64_t code = 0;
  if (parser.parse(text.data(), text.size()).get(object) != simdjson::SUCCESS ||
      object["code"].get(code) != simdjson::SUCCESS)
    return std::nullopt;
  TmqAnswer answer;
  answer.code = static_cast<std::int32_t>(code & 0xFFFF);
  read(object, "message", answer.message);
  read(object, "action", answer.action);
  read(object, "req_id", answer.request_id);
  read(object, "version", answer.version);
  read(object, "have_message", answer.have_message);
  read(object, "topic", answer.topic);
  read(object, "database", answer.database);
  read(object, "vgroup_id", answer.vgroup);
  read(object, "message_type", answer.message_type);
  read(object, "message_id", answer.message_id);
  read(object, "offset", answer.offset);
  read(object, "completed", answer.completed);
  read(object, "table_name", answer.table);
  read(object, "precision", answer.precision);
  read_list(object, "fields_names", answer.names);
  read_list(object, "fields_types", answer.types);
  read_list(object, "fields_lengths", answer.lengths);
  read_list(object, "assignment", answer.assignment);
  read_list(object, "committed", answer.offsets);
  read_list(object, "position", answer.offsets);
  dom::element data;
  if (object["data"].get(data) == simdjson::SUCCESS && !data.is_null()) answer.data = simdjson::minify(data);
  return answer;
}

}  // namespace penstock::client::detail
