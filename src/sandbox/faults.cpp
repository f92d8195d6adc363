#include "sandbox/faults.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>

#include "sandbox/result_json.h"
#include "wire/bytes.h"
#include "wire/messages.h"

namespace penstock::sandbox {
namespace {

using Json = nlohmann::json;

/// What a request says of itself.
struct Label {
  std::string action;
  std::string number;  ///< of binary requests
  std::uint64_t request_id = 0;
  std::optional<std::uint64_t> statement;
  std::uint64_t resource = 0;
};

std::string_view name_of(std::uint64_t action) {
  constexpr std::string_view kNames[] = {"",
                                         "set_tags",
                                         "bind",
                                         "write_raw",
                                         "write_raw_block",
                                         "write_raw_block_with_fields",
                                         "binary_query",
                                         "fetch_raw_block",
                                         "",
                                         "stmt2_bind",
                                         "validate_sql",
                                         "stmt2_bind_exec"};
  return action < std::size(kNames) ? kNames[action] : std::string_view();
}

Label label_of(bool binary, std::string_view message) {
  Label label;
  if (binary) {
    const auto header = wire::read_request_header(message);
    if (!header) return label;
    label.action = name_of(header->action);
    label.number = std::to_string(header->action);
    label.request_id = header->request_id;
    label.resource = header->id;
    if (header->action == 1 || header->action == 2 || header->action == 9 || header->action == 11) {
      label.statement = header->id;
    }
    return label;
  }
  const Json root = Json::parse(message, nullptr, false);
  if (!root.is_object()) return label;
  if (const auto action = root.find("action"); action != root.end() && action->is_string()) {
    label.action = action->get<std::string>();
  }
  const auto args = root.find("args");
  if (args == root.end() || !args->is_object()) return label;
  const auto number = [&](const char* name) -> std::optional<std::uint64_t> {
    const auto found = args->find(name);
    return found != args->end() && found->is_number_unsigned() ? std::optional(found->get<std::uint64_t>())
                                                               : std::nullopt;
  };
  label.request_id = number("req_id").value_or(0);
  label.statement = number("stmt_id");
  return label;
}

}  // namespace

Faults::Faults(std::vector<FaultRule> rules) { set(std::move(rules)); }

void Faults::set(std::vector<FaultRule> rules) {
  const std::lock_guard lock(mutex_);
  rules_.clear();
  applied_ = 0;
  for (auto& rule : rules) rules_.push_back({std::move(rule), 0});
}

void Faults::add(FaultRule rule) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({std::move(rule), 0});
}

std::uint64_t Faults::applied() const {
  const std::lock_guard lock(mutex_);
  return applied_;
}

bool Faults::idle() const {
  const std::lock_guard lock(mutex_);
  return rules_.empty();
}

std::optional<FaultRule> Faults::match(std::string_view endpoint, std::string_view action, std::string_view number,
                                       std::string_view message) {
  const std::lock_guard lock(mutex_);
  std::optional<FaultRule> due;
  for (auto& [rule, seen] : rules_) {
    const std::string_view place = rule.endpoint;
    const bool here =
        place.empty() || endpoint == place || (endpoint.starts_with(place) && endpoint[place.size()] == '/');
    const bool this_action = rule.action.empty() ? action != "connect" : rule.action == action || rule.action == number;
    if (!here || !this_action) continue;
    if (!rule.contains.empty() && message.find(rule.contains) == std::string_view::npos) continue;
    ++seen;
    if (!due && seen >= rule.first && (rule.times == 0 || seen < rule.first + rule.times)) due = rule;
  }
  if (due) ++applied_;
  return due;
}

std::optional<FaultRule> Faults::on_message(std::string_view endpoint, bool binary, std::string_view message) {
  if (idle()) return std::nullopt;
  const auto label = label_of(binary, message);
  return match(endpoint, label.action, label.number, message);
}

std::optional<FaultRule> Faults::on_http(std::string_view path, std::string_view method, std::string_view body) {
  return idle() ? std::nullopt : match(path, method, method, body);
}

std::optional<FaultRule> Faults::on_connect(std::string_view endpoint) {
  return idle() ? std::nullopt : match(endpoint, "connect", "connect", {});
}

bool Faults::wait(std::chrono::milliseconds duration) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, duration, [&] { return stopping_; });
}

void Faults::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
}

FaultAnswer fault_refusal(const FaultRule& rule, bool binary, std::string_view message) {
  const auto label = label_of(binary, message);
  if (label.number == "7") {
    wire::FetchAnswer answer;
    answer.request_id = label.request_id;
    answer.result_id = label.resource;
    answer.code = rule.code;
    answer.message = rule.text;
    answer.finished = true;
    return {true, wire::encode_fetch_answer(answer)};
  }
  std::string text = fmt::format("{{\"code\":{},\"message\":", rule.code);
  append_json_text(text, rule.text);
  text += ",\"action\":";
  append_json_text(text, label.action);
  fmt::format_to(std::back_inserter(text), ",\"req_id\":{},\"timing\":0", label.request_id);
  if (label.statement) fmt::format_to(std::back_inserter(text), ",\"stmt_id\":{}", *label.statement);
  return {false, text += '}'};
}

std::uint64_t fault_request_id(bool binary, std::string_view message) { return label_of(binary, message).request_id; }

std::uint64_t fault_answered_id(std::string_view answer) {
  const Json root = Json::parse(answer, nullptr, false);
  if (!root.is_object()) return 0;
  const auto found = root.find("req_id");
  return found != root.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string fault_spoil(FaultRule::Kind kind, bool binary, std::string answer) {
  switch (kind) {
    case FaultRule::Kind::truncate: answer.resize(answer.size() / 2); break;
    case FaultRule::Kind::damage: {
      if (answer.empty()) break;
      std::mt19937_64 random(answer.size());
      for (std::size_t i = 0; i < 1 + answer.size() / 64; ++i) {
        auto& byte = answer[random() % answer.size()];
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1 + random() % 255));
      }
      break;
    }
    case FaultRule::Kind::wrong_request_id: {
      if (binary) {
        // fetch_raw_block and fetch_raw_data: @26; answers that begin with their timing: @8.
        const std::size_t at = wire::is_fetch_answer(answer) ? 26 : 8;
        if (answer.size() >= at + 8) {
          wire::store(answer.data() + at, wire::load<std::uint64_t>(answer.data() + at) ^ 0x5555555555555555U);
        }
        break;
      }
      constexpr std::string_view kMember = "\"req_id\":";
      const auto at = answer.find(kMember);
      if (at == std::string::npos) break;
      const auto begin = at + kMember.size();
      const auto end = answer.find_first_not_of("0123456789", begin);
      answer.replace(begin, end - begin, "18446744073709551557");
      break;
    }
    default: break;
  }
  return answer;
}

std::string fault_http_body(const FaultRule& rule, std::string_view path, int& status) {
  const bool influx = path.starts_with("/influxdb/");
  const bool writes = influx || path.starts_with("/opentsdb/");
  status = rule.http_status != 0 ? rule.http_status : writes ? 500 : 200;
  if (!rule.http_body.empty()) return rule.http_body;
  if (!writes) return rest_error(rule.code, rule.text, 0);
  std::string text =
      influx ? "{\"code\":\"internal error\",\"message\":" : fmt::format("{{\"code\":{},\"message\":", status);
  append_json_text(text, fmt::format("[0x{:x}] {}", rule.code, rule.text));
  return text += '}';
}

}  // namespace penstock::sandbox
