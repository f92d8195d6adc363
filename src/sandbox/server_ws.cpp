#include "sandbox/server_ws.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "sandbox/result_block.h"
#include "sandbox/result_json.h"
#include "wire/messages.h"

namespace penstock::sandbox {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::int32_t kAdapterError = 65535;
constexpr std::int32_t kInvalidParameter = 280;
constexpr std::int32_t kInvalidUser = 519;
constexpr std::int32_t kInvalidPassword = 520;

[[noreturn]] void refuse(std::string text, std::int32_t code = kAdapterError) {
  throw RefusalError(code, std::move(text));
}

/// Arguments of the wrong shape: the text names the action.
struct UnmarshalError {};

bool equal_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

/// The adapter reads member names in any case; an exact one wins here.
const Json* member(const Json& object, std::string_view name) {
  if (const auto exact = object.find(name); exact != object.end()) return &*exact;
  for (const auto& [key, value] : object.items()) {
    if (equal_any_case(key, name)) return &value;
  }
  return nullptr;
}

/// req_id as the adapter echoes it when the arguments are broken: numbers are cut to an integer, texts are read as one,
/// anything else is 0.
std::uint64_t lenient_request_id(const Json& args) {
  if (!args.is_object()) return 0;
  const auto found = args.find("req_id");
  if (found == args.end()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  if (found->is_number_float()) {
    const double value = found->get<double>();
    return value >= 0 && value < 1.8e19 ? static_cast<std::uint64_t>(value) : 0;
  }
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} ? value : 0;
  }
  return 0;
}

/// Go replaces what is no UTF-8 by U+FFFD where this parser would refuse the message.
std::string replace_bad_utf8(std::string_view text) {
  std::string quoted;
  append_json_text(quoted, text);
  return Json::parse(quoted).get<std::string>();
}

std::string first_word(std::string_view sql) {
  const auto begin = sql.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  sql.remove_prefix(begin);
  std::string word;
  for (const char c : sql) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) break;
    word += static_cast<char>(c | 0x20);
  }
  return word;
}

int schemaless_precision(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"h", "m", "s", "ms", "u", "ns"};
  if (name == "\xce\xbc") return 5;  // the Greek letter mu
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  return found == kNames.end() ? 0 : static_cast<int>(found - kNames.begin()) + 1;
}

/// What `fetch` reports as a column's length: the stored width, but of JSON without and of BLOB with its length prefix.
std::int32_t longest_cell(const ResultField& field) {
  if (field.type == data::Type::json) return field.stored_bytes - 2;
  if (field.type == data::Type::blob) return field.length + 4;
  return field.stored_bytes;
}

std::string_view binary_action_name(std::uint64_t action) {
  constexpr std::array<std::string_view, 11> kNames = {
      "unknown",      "set_tags",        "bind",    "write_raw",  "write_raw_block", "write_raw_block_with_fields",
      "binary_query", "fetch_raw_block", "unknown", "stmt2_bind", "validate_sql"};
  return kNames[action < kNames.size() ? action : 0];
}

}  // namespace

struct WsDialogue::Request {
  std::string action;
  std::uint64_t id = 0;
  std::optional<std::uint64_t> statement;  ///< answers to statement actions carry it
  Clock::time_point begun = Clock::now();
  bool silent = false;
  std::optional<std::string> binary;  ///< answer in place of JSON

  [[nodiscard]] std::int64_t elapsed_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count();
  }
  [[nodiscard]] std::string answer(std::int32_t code, std::string_view message, std::string_view more) const {
    std::string text = fmt::format("{{\"code\":{},\"message\":", code);
    append_json_text(text, message);
    text += ",\"action\":";
    append_json_text(text, action);
    fmt::format_to(std::back_inserter(text), ",\"req_id\":{},\"timing\":{}", id, elapsed_ns());
    if (statement) fmt::format_to(std::back_inserter(text), ",\"stmt_id\":{}", *statement);
    return text.append(more) += '}';
  }
};

/// Members of "args" by name, as Go's decoder sees them: absent or null is the zero value, a wrong type an error (so a
/// member may be read only for its check).
struct WsDialogue::Args {
  const Json* object = nullptr;  ///< null for absent or null arguments

  [[nodiscard]] const Json* find(std::string_view name) const {
    const Json* value = object == nullptr ? nullptr : member(*object, name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::uint64_t u64(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) throw UnmarshalError{};
    return value->get<std::uint64_t>();
  }
  std::optional<std::int64_t> i64(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer()) throw UnmarshalError{};
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) throw UnmarshalError{};
    return value->get<std::int64_t>();
  }
  std::string text(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return {};
    if (!value->is_string()) throw UnmarshalError{};
    return value->get<std::string>();
  }
  bool boolean(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) throw UnmarshalError{};
    return value->get<bool>();
  }
};

struct WsDialogue::OpenResult {
  Answer answer;
  std::size_t next_row = 0;
  std::string block;  ///< the one that fetch moved to
};

struct WsDialogue::ActionEntry {
  std::string_view name;
  std::string_view label;  ///< in "unmarshal <label> request error"
  TextAction run;
  bool needs_login = true;
};

const WsDialogue::ActionEntry* WsDialogue::find_action(std::string_view name) {
  using D = WsDialogue;
  static constexpr std::array kActions = {
      ActionEntry{"version", "version", &D::version, false},
      ActionEntry{"conn", "connect", &D::connect, false},
      ActionEntry{"check_server_status", "check server status", &D::check_server_status, false},
      ActionEntry{"query", "query", &D::query},
      ActionEntry{"fetch", "fetch", &D::fetch},
      ActionEntry{"fetch_block", "fetch block", &D::fetch_block},
      ActionEntry{"free_result", "free result", &D::free_result},
      ActionEntry{"num_fields", "num fields", &D::num_fields},
      ActionEntry{"insert", "schemaless insert", &D::insert},
      ActionEntry{"get_current_db", "get current db", &D::get_current_db},
      ActionEntry{"get_server_info", "get server info", &D::get_server_info},
      ActionEntry{"options_connection", "options connection", &D::options_connection},
      ActionEntry{"stmt2_init", "stmt2 init", &D::stmt2_init},
      ActionEntry{"stmt2_prepare", "stmt2 prepare", &D::stmt2_prepare},
      ActionEntry{"stmt2_exec", "stmt2 exec", &D::stmt2_exec},
      ActionEntry{"stmt2_result", "stmt2 result", &D::stmt2_result},
      ActionEntry{"stmt2_close", "stmt2 close", &D::stmt2_close},
      // First generation statements: only the shape of their arguments is looked at.
      ActionEntry{"init", "stmt init", &D::unsupported},
      ActionEntry{"prepare", "stmt prepare", &D::unsupported},
      ActionEntry{"set_table_name", "stmt set table name", &D::unsupported},
      ActionEntry{"set_tags", "stmt set tags", &D::unsupported},
      ActionEntry{"bind", "stmt bind", &D::unsupported},
      ActionEntry{"add_batch", "stmt add batch", &D::unsupported},
      ActionEntry{"exec", "stmt exec", &D::unsupported},
      ActionEntry{"close", "stmt close", &D::unsupported},
      ActionEntry{"get_tag_fields", "stmt get tag fields", &D::unsupported},
      ActionEntry{"get_col_fields", "stmt get col fields", &D::unsupported},
      ActionEntry{"use_result", "stmt use result", &D::unsupported},
      ActionEntry{"stmt_num_params", "stmt num params", &D::unsupported},
      ActionEntry{"stmt_get_param", "stmt get param", &D::unsupported},
  };
  const auto found = std::find_if(kActions.begin(), kActions.end(), [&](const auto& it) { return it.name == name; });
  return found == kActions.end() ? nullptr : &*found;
}

WsDialogue::WsDialogue(Engine& engine) : engine_(engine) {}
WsDialogue::~WsDialogue() = default;

std::optional<WsDialogue::Reply> WsDialogue::handle(WsMessage message) {
  Request request;
  try {
    return message.binary ? handle_binary(std::move(message.payload), request) : handle_text(message.payload, request);
  } catch (const RefusalError& error) {
    return Reply{false, request.answer(error.refusal().code & 0xffff, error.refusal().message, {})};
  } catch (const std::exception& error) {
    return Reply{false, request.answer(kAdapterError, fmt::format("sandbox: {}", error.what()), {})};
  }
}

std::optional<WsDialogue::Reply> WsDialogue::handle_text(std::string_view text, Request& request) {
  std::string repaired;
  if (!is_utf8(text)) {
    repaired = replace_bad_utf8(text);
    text = repaired;
  }
  // The parser would skip a byte order mark; the real one refuses it.
  const Json root =
      text.starts_with("\xef\xbb\xbf") ? Json(Json::value_t::discarded) : Json::parse(text, nullptr, false);
  if (!root.is_object() && !root.is_null()) refuse("unmarshal request error");
  const Json* action = root.is_object() ? member(root, "action") : nullptr;
  const Json* args = root.is_object() ? member(root, "args") : nullptr;
  if (action != nullptr && !action->is_null() && !action->is_string()) refuse("unmarshal request error");
  if (args != nullptr) request.id = lenient_request_id(*args);
  if (action != nullptr && action->is_string()) request.action = action->get<std::string>();
  if (request.action.empty()) refuse("request no action");

  const ActionEntry* entry = find_action(request.action);
  if (!session_ && (entry == nullptr || entry->needs_login)) refuse("server not connected");
  if (entry == nullptr) refuse("unknown action " + request.action);
  try {
    if (args == nullptr && entry->run != &WsDialogue::version) throw UnmarshalError{};
    if (args != nullptr && !args->is_object() && !args->is_null()) throw UnmarshalError{};
    const Args members{args != nullptr && args->is_object() ? args : nullptr};
    request.id = members.u64("req_id");
    const std::string more = (this->*entry->run)(request, members);
    if (request.silent) return std::nullopt;
    if (request.binary) return Reply{true, std::move(*request.binary)};
    return Reply{false, request.answer(0, "", more)};
  } catch (const UnmarshalError&) {
    request.statement.reset();
    refuse(fmt::format("unmarshal {} request error", entry->label));
  }
}

std::optional<WsDialogue::Reply> WsDialogue::handle_binary(std::string&& message, Request& request) {
  const auto header = wire::read_request_header(message);
  request.action = "unknown";
  if (!header) refuse("message length is too short");
  request.id = header->request_id;
  request.action = binary_action_name(header->action);
  if (!session_) refuse("server not connected");
  switch (static_cast<wire::Action>(header->action)) {
    case wire::Action::binary_query: {
      const auto sql = wire::decode_query(message);
      if (!sql) refuse(sql.error().message, sql.error().code);
      return Reply{false, request.answer(0, "", run_query(*sql))};
    }
    case wire::Action::validate_sql: {
      const auto sql = wire::decode_query(message);
      if (!sql) refuse(sql.error().message, sql.error().code);
      return Reply{false, request.answer(0, "", fmt::format(",\"result_code\":{}", validate(*sql)))};
    }
    case wire::Action::fetch_raw_block: return Reply{true, fetch_raw_block(message, request)};
    case wire::Action::stmt2_bind:
      request.statement = header->id;
      statements_.bind(*session_, header->id, std::move(message));
      return Reply{false, request.answer(0, "", {})};
    default: break;
  }
  request.action = "unknown";
  refuse(fmt::format("unknown binary action {}", header->action));
}

std::string WsDialogue::version(Request&, const Args&) { return fmt::format(",\"version\":\"{}\"", kServerVersion); }

std::string WsDialogue::connect(Request& request, const Args& args) {
  const std::string user = args.text("user");
  const std::string password = args.text("password");
  const std::string database = args.text("db");
  const std::string zone = args.text("tz");
  args.text("app");
  args.text("ip");
  const auto mode = args.i64("mode");
  if (session_) refuse("duplicate connections");
  if (mode.value_or(0) != 0) refuse(fmt::format("unexpected mode:{}", *mode));
  if (user.empty()) refuse("Invalid user name", kInvalidUser);
  if (password.empty()) refuse("Invalid password length", kInvalidPassword);
  auto session = engine_.login(user, password, database);
  if (!zone.empty()) session->set_time_zone(zone);
  session_ = std::move(session);
  return version(request, args);
}

std::string WsDialogue::check_server_status(Request&, const Args& args) {
  const bool local = args.find("fqdn") == nullptr;
  args.text("fqdn");
  args.i64("port");
  // This server only knows of itself; any other host counts as unreachable.
  return fmt::format(",\"status\":{},\"details\":\"\"", local ? 2 : 0);
}

std::string WsDialogue::query(Request&, const Args& args) { return run_query(args.text("sql")); }

std::string WsDialogue::run_query(std::string_view sql) {
  Answer answer = session_->execute(sql);
  const bool update = answer.is_update;
  const std::uint64_t id = update ? 0 : ++last_result_id_;
  std::string more =
      fmt::format(",\"id\":{},\"is_update\":{},\"affected_rows\":{},", id, update, update ? answer.affected_rows : 0);
  if (update) answer.fields.clear();
  append_field_members(more, answer, LengthKind::user);
  if (!update) results_.emplace(id, OpenResult{std::move(answer), 0, {}});
  return more;
}

std::uint64_t WsDialogue::keep_result(Answer answer) {
  results_.emplace(++last_result_id_, OpenResult{std::move(answer), 0, {}});
  return last_result_id_;
}

std::int32_t WsDialogue::validate(std::string_view sql) {
  // The engine has no dry run: statements that only read are carried out, of others only the verb is looked at.
  const std::string verb = first_word(sql);
  const auto refusal = [](std::int32_t code) {
    return static_cast<std::int32_t>(0x80000000u | (unsigned(code) & 0xffff));
  };
  try {
    if (verb == "select" || verb == "show" || verb == "describe" || verb == "desc" || verb == "explain") {
      session_->execute(sql);
      return 0;
    }
  } catch (const RefusalError& error) {
    return refusal(error.refusal().code);
  }
  constexpr std::array<std::string_view, 9> kVerbs = {"insert", "create", "drop",  "alter", "use",
                                                      "delete", "reset",  "grant", "flush"};
  return std::find(kVerbs.begin(), kVerbs.end(), verb) != kVerbs.end() ? 0 : refusal(0x2600);
}

WsDialogue::OpenResult& WsDialogue::find_result(std::uint64_t id) {
  const auto found = results_.find(id);
  if (found == results_.end()) refuse("result is nil");
  return found->second;
}

std::string WsDialogue::fetch(Request&, const Args& args) {
  const std::uint64_t id = args.u64("id");
  OpenResult& result = find_result(id);
  const std::size_t rows = std::min(kBlockRows, result.answer.rows.size() - result.next_row);
  if (rows == 0) {
    results_.erase(id);
    return fmt::format(",\"id\":{},\"completed\":true,\"lengths\":null,\"rows\":0", id);
  }
  result.block = result_block(result.answer, result.next_row, rows);
  result.next_row += rows;
  std::string more = fmt::format(",\"id\":{},\"completed\":false,\"lengths\":[", id);
  for (const auto& field : result.answer.fields) {
    if (more.back() != '[') more += ',';
    more += std::to_string(longest_cell(field));
  }
  return more += fmt::format("],\"rows\":{}", rows);
}

std::string WsDialogue::fetch_block(Request& request, const Args& args) {
  const std::uint64_t id = args.u64("id");
  const OpenResult& result = find_result(id);
  if (result.block.empty()) refuse("block is nil");
  request.binary =
      wire::encode_fetch_block_answer({static_cast<std::uint64_t>(request.elapsed_ns()), id, result.block});
  return {};
}

std::string WsDialogue::fetch_raw_block(std::string_view message, Request& request) {
  wire::FetchAnswer answer;
  answer.request_id = request.id;
  answer.result_id = wire::read_request_header(message)->id;
  answer.finished = true;
  std::string error_text;
  std::string block;
  if (const auto error = wire::check_fetch(message)) {
    answer.code = error->code;
    error_text = error->message;
  } else if (const auto found = results_.find(answer.result_id); found == results_.end()) {
    answer.code = kAdapterError;
    error_text = "result is nil";
  } else {
    OpenResult& result = found->second;
    const std::size_t rows = std::min(kBlockRows, result.answer.rows.size() - result.next_row);
    if (rows == 0) {
      results_.erase(found);
    } else {
      block = result_block(result.answer, result.next_row, rows);
      result.next_row += rows;
      answer.finished = false;
    }
  }
  answer.message = error_text;
  answer.block = block;
  answer.timing_ns = static_cast<std::uint64_t>(request.elapsed_ns());
  return wire::encode_fetch_answer(answer);
}

std::string WsDialogue::free_result(Request& request, const Args& args) {
  results_.erase(args.u64("id"));
  request.silent = true;
  return {};
}

std::string WsDialogue::num_fields(Request&, const Args& args) {
  return fmt::format(",\"num_fields\":{}", find_result(args.u64("result_id")).answer.fields.size());
}

std::string WsDialogue::insert(Request&, const Args& args) {
  const auto protocol = args.i64("protocol").value_or(0);
  const std::string precision = args.text("precision");
  const auto ttl = args.i64("ttl").value_or(0);
  const std::string data = args.text("data");
  const std::string table_name_key = args.text("table_name_key");
  if (protocol == 0) refuse("schemaless write protocol is null");
  if (protocol < 1 || protocol > 3) refuse("protocol invalidate", 0x3000);
  std::int32_t total = 0;
  const std::int64_t affected = session_->insert_schemaless(
      static_cast<int>(protocol), protocol == 1 ? schemaless_precision(precision) : 0, data,
      static_cast<int>(std::clamp<std::int64_t>(ttl, INT32_MIN, INT32_MAX)), table_name_key, total);
  return fmt::format(",\"affected_rows\":{},\"total_rows\":{}", affected, total);
}

std::string WsDialogue::get_current_db(Request&, const Args&) {
  std::string more = ",\"db\":";
  append_json_text(more, session_->current_database());
  return more;
}

std::string WsDialogue::get_server_info(Request&, const Args&) {
  return fmt::format(",\"info\":\"ver:{}\\nbuild:penstock sandbox\\ngitinfo:none\"", kServerVersion);
}

std::string WsDialogue::options_connection(Request&, const Args& args) {
  const Json* options = args.find("options");
  if (options == nullptr) return {};
  if (!options->is_array()) throw UnmarshalError{};
  struct Option {
    std::int64_t number;
    std::string value;
  };
  std::vector<Option> parsed;
  for (const Json& item : *options) {
    if (!item.is_object() && !item.is_null()) throw UnmarshalError{};
    const Args members{item.is_object() ? &item : nullptr};
    parsed.push_back({members.i64("option").value_or(0), members.text("value")});
  }
  for (const auto& option : parsed) {
    if (option.number < -1 || option.number > 3) refuse("Invalid parameters", kInvalidParameter);
    if (option.number == -1 || option.number == 1) session_->set_time_zone(option.number == 1 ? option.value : "");
  }
  return {};
}

std::string WsDialogue::stmt2_init(Request& request, const Args& args) {
  args.boolean("single_stb_insert");  // how the rows lie in memory: no difference here
  args.boolean("single_table_bind_once");
  request.statement = statements_.init();
  return {};
}

std::string WsDialogue::stmt2_prepare(Request& request, const Args& args) {
  const std::uint64_t id = args.u64("stmt_id");
  const std::string sql = args.text("sql");
  const bool get_fields = args.boolean("get_fields");
  request.statement = id;
  const auto prepared = statements_.prepare(*session_, id, sql, get_fields);
  std::string more = fmt::format(",\"is_insert\":{},\"fields\":", prepared.is_insert);
  if (prepared.fields.empty()) {
    more += "null";
  } else {
    for (const auto& field : prepared.fields) {
      more += more.back() == ':' ? "[{\"name\":" : ",{\"name\":";
      append_json_text(more, field.column.name);
      const bool is_time = field.column.type == data::Type::timestamp;
      fmt::format_to(std::back_inserter(more),
                     ",\"field_type\":{},\"precision\":{},\"scale\":{},\"bytes\":{},\"bind_type\":{}}}",
                     // Of DECIMAL columns too the real server leaves precision and scale at 0 here.
                     static_cast<int>(field.column.type), is_time ? field.time_precision : 0, 0, field.stored_bytes,
                     static_cast<int>(field.bind));
    }
    more += ']';
  }
  return more += fmt::format(",\"fields_count\":{}", prepared.fields_count);
}

std::string WsDialogue::stmt2_exec(Request& request, const Args& args) {
  request.statement = args.u64("stmt_id");
  return fmt::format(",\"affected\":{}", statements_.execute(*session_, *request.statement));
}

std::string WsDialogue::stmt2_result(Request& request, const Args& args) {
  request.statement = args.u64("stmt_id");
  Answer answer = statements_.take_result(*request.statement);
  std::string fields;
  append_field_members(fields, answer, LengthKind::stored);
  return fmt::format(",\"id\":{},{}", keep_result(std::move(answer)), fields);
}

std::string WsDialogue::stmt2_close(Request& request, const Args& args) {
  request.statement = args.u64("stmt_id");
  statements_.close(*request.statement);
  return {};
}

std::string WsDialogue::unsupported(Request& request, const Args&) { refuse("unknown action " + request.action); }

}  // namespace penstock::sandbox
