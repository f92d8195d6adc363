#include "sandbox/server_ws.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "sandbox/canned_source.h"
#include "sandbox/raw_write.h"
#include "sandbox/result_block.h"
#include "sandbox/result_json.h"
#include "sandbox/server_write.h"
#include "wire/bytes.h"
#include "wire/messages.h"

namespace penstock::sandbox {
namespace {

using Json = nlohmann::json;

// Actions that no client of this project sends.
constexpr std::uint64_t kWriteRaw = 3;
constexpr std::uint64_t kWriteRawBlock = 4;
constexpr std::uint64_t kWriteRawBlockWithFields = 5;

constexpr std::int32_t kInvalidParameter = 280;
constexpr std::int32_t kInvalidUser = 519;
constexpr std::int32_t kInvalidPassword = 520;

[[noreturn]] void refuse(std::string text, std::int32_t code = kAdapterError) { refuse_request(std::move(text), code); }

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

/// What `fetch` reports as a column's length: the stored width, but of JSON without and of BLOB with its length prefix.
std::int32_t longest_cell(const ResultField& field) {
  if (field.type == data::Type::json) return field.stored_bytes - 2;
  if (field.type == data::Type::blob) return field.length + 4;
  return field.stored_bytes;
}

std::string_view binary_action_name(std::uint64_t action) {
  constexpr std::array<std::string_view, 12> kNames = {
      "unknown",      "set_tags",        "bind",    "write_raw",  "write_raw_block", "write_raw_block_with_fields",
      "binary_query", "fetch_raw_block", "unknown", "stmt2_bind", "validate_sql",    "stmt2_bind_exec"};
  return kNames[action < kNames.size() ? action : 0];
}

}  // namespace

struct WsDialogue::OpenResult {
  Answer answer;
  std::size_t next_row = 0;
  std::string block;       ///< of `answer`
  std::string_view given;  ///< the block that fetch moved to
  std::optional<CannedSource::Reader> canned;
};

struct WsDialogue::ActionEntry {
  std::string_view name;
  std::string_view label;  ///< in "unmarshal <label> request error"
  TextAction run;
  unsigned legacy = 0;  ///< endpoints besides /ws
  bool needs_login = true;
};

const WsDialogue::ActionEntry* WsDialogue::find_action(std::string_view name) const {
  using D = WsDialogue;
  constexpr unsigned kQuery = static_cast<unsigned>(Endpoint::rest_ws);
  constexpr unsigned kStatement = static_cast<unsigned>(Endpoint::rest_stmt);
  constexpr unsigned kLines = static_cast<unsigned>(Endpoint::rest_schemaless);
  constexpr unsigned kAll = kQuery | kStatement | kLines;
  static constexpr std::array kActions = {
      ActionEntry{"version", "version", &D::version, kAll, false},
      ActionEntry{"conn", "connect", &D::connect, kAll, false},
      ActionEntry{"check_server_status", "check server status", &D::check_server_status, 0, false},
      ActionEntry{"query", "query", &D::query, kQuery},
      ActionEntry{"fetch", "fetch", &D::fetch, kQuery},
      ActionEntry{"fetch_block", "fetch block", &D::fetch_block, kQuery},
      ActionEntry{"free_result", "free result", &D::free_result, kQuery},
      ActionEntry{"num_fields", "num fields", &D::num_fields},
      ActionEntry{"insert", "schemaless insert", &D::insert, kLines},
      ActionEntry{"get_current_db", "get current db", &D::get_current_db},
      ActionEntry{"get_server_info", "get server info", &D::get_server_info},
      ActionEntry{"options_connection", "options connection", &D::options_connection},
      ActionEntry{"stmt2_init", "stmt2 init", &D::stmt2_init},
      ActionEntry{"stmt2_prepare", "stmt2 prepare", &D::stmt2_prepare},
      ActionEntry{"stmt2_exec", "stmt2 exec", &D::stmt2_exec},
      ActionEntry{"stmt2_result", "stmt2 result", &D::stmt2_result},
      ActionEntry{"stmt2_close", "stmt2 close", &D::stmt2_close},
      ActionEntry{"init", "stmt init", &D::stmt_init, kStatement},
      ActionEntry{"prepare", "stmt prepare", &D::stmt_prepare, kStatement},
      ActionEntry{"set_table_name", "stmt set table name", &D::stmt_set_table_name, kStatement},
      ActionEntry{"set_tags", "stmt set tags", &D::stmt_set_tags, kStatement},
      ActionEntry{"bind", "stmt bind", &D::stmt_bind, kStatement},
      ActionEntry{"add_batch", "stmt add batch", &D::stmt_add_batch, kStatement},
      ActionEntry{"exec", "stmt exec", &D::stmt_exec, kStatement},
      ActionEntry{"close", "stmt close", &D::stmt_close, kStatement},
      ActionEntry{"get_tag_fields", "stmt get tag fields", &D::stmt_get_tag_fields, kStatement},
      ActionEntry{"get_col_fields", "stmt get col fields", &D::stmt_get_col_fields, kStatement},
      ActionEntry{"use_result", "stmt use result", &D::stmt_use_result},
      ActionEntry{"stmt_num_params", "stmt num params", &D::stmt_num_params},
      ActionEntry{"stmt_get_param", "stmt get param", &D::stmt_get_param},
  };
  const auto found = std::find_if(kActions.begin(), kActions.end(), [&](const auto& it) { return it.name == name; });
  if (found == kActions.end()) return nullptr;
  return is_legacy() && (found->legacy & static_cast<unsigned>(options_.endpoint)) == 0 ? nullptr : &*found;
}

WsDialogue::WsDialogue(Engine& engine, Options options) : engine_(engine), options_(std::move(options)) {}
WsDialogue::~WsDialogue() = default;

std::optional<Dialogue::Reply> WsDialogue::handle(WsMessage message) {
  WsRequest request;
  try {
    return message.binary ? handle_binary(std::move(message.payload), request) : handle_text(message.payload, request);
  } catch (const RefusalError& error) {
    return Reply{false, request.answer(error.refusal().code & 0xffff, error.refusal().message, {}), {}};
  } catch (const std::exception& error) {
    return Reply{false, request.answer(kAdapterError, fmt::format("sandbox: {}", error.what()), {}), {}};
  }
}

std::optional<Dialogue::Reply> WsDialogue::handle_text(std::string_view text, WsRequest& request) {
  std::string repaired;
  if (!is_utf8(text)) {
    repaired = replace_bad_utf8(text);
    text = repaired;
  }
  // The parser would skip a byte order mark; the real one refuses it.
  const Json root =
      text.starts_with("\xef\xbb\xbf") ? Json(Json::value_t::discarded) : Json::parse(text, nullptr, false);
  const bool says_nothing = is_legacy() && options_.endpoint != Endpoint::rest_schemaless;
  if (!root.is_object() && !root.is_null()) {
    if (says_nothing) return std::nullopt;
    refuse(is_legacy() ? "unexpected end of JSON input" : "unmarshal request error");
  }
  const WsArgs top(root.is_object() ? &root : nullptr);
  const Json* action = static_cast<const Json*>(top.find("action"));
  const Json* args = static_cast<const Json*>(top.member("args"));
  if (action != nullptr && !action->is_string()) {
    if (says_nothing) return std::nullopt;
    refuse("unmarshal request error");
  }
  if (args != nullptr) request.id = lenient_request_id(*args);
  if (action != nullptr) request.action = action->get<std::string>();
  if (request.action.empty()) {
    if (is_legacy()) return std::nullopt;
    refuse("request no action");
  }

  const ActionEntry* entry = find_action(request.action);
  if (entry == nullptr && is_legacy()) return std::nullopt;
  if (!session_ && (entry == nullptr || entry->needs_login)) refuse("server not connected");
  if (entry == nullptr) refuse("unknown action " + request.action);
  try {
    if (args == nullptr && entry->run != &WsDialogue::version) throw UnmarshalError{};
    if (args != nullptr && !args->is_object() && !args->is_null()) throw UnmarshalError{};
    const WsArgs members{args != nullptr && args->is_object() ? args : nullptr};
    request.id = members.u64("req_id");
    const std::string more = (this->*entry->run)(request, members);
    if (request.silent) return std::nullopt;
    if (request.binary) return Reply{true, std::move(*request.binary), request.binary_tail};
    return Reply{false, request.answer(0, "", more), {}};
  } catch (const UnmarshalError&) {
    if (is_legacy()) return std::nullopt;
    request.statement.reset();
    refuse(fmt::format("unmarshal {} request error", entry->label));
  }
}

std::optional<Dialogue::Reply> WsDialogue::handle_binary(std::string&& message, WsRequest& request) {
  using wire::Action;
  using wire::number;
  const auto header = wire::read_request_header(message);
  request.action = "unknown";
  if (!header) {
    if (is_legacy()) return std::nullopt;
    refuse("message length is too short");
  }
  request.id = header->request_id;
  const auto knows = [&](std::uint64_t action) {
    switch (action) {
      case kWriteRaw:
      case kWriteRawBlock:
      case kWriteRawBlockWithFields: return !is_legacy() || options_.endpoint == Endpoint::rest_ws;
      case number(Action::stmt_set_tags):
      case number(Action::stmt_bind): return !is_legacy() || options_.endpoint == Endpoint::rest_stmt;
      case number(Action::stmt2_bind_exec): return !is_legacy() && options_.bind_exec;
      default: return !is_legacy();
    }
  };
  const std::uint64_t action = header->action;
  if (is_legacy() && !knows(action)) return std::nullopt;
  request.action = action == number(Action::stmt2_bind_exec) && !knows(action) ? std::string_view("unknown")
                                                                               : binary_action_name(header->action);
  if (!session_) refuse("server not connected");
  const auto answered = [&](std::string_view more = {}) { return Reply{false, request.answer(0, "", more), {}}; };
  const auto sql = [&] {
    const auto text = wire::decode_query(message);
    if (!text) refuse(text.error().message, text.error().code);
    return *text;
  };
  if (knows(action)) switch (action) {
      case number(Action::binary_query): return answered(run_query(sql()));
      case number(Action::validate_sql): return answered(fmt::format(",\"result_code\":{}", validate(sql())));
      case number(Action::fetch_raw_block): {
        auto head = fetch_raw_block(message, request);
        return Reply{true, std::move(head), request.binary_tail};
      }
      case kWriteRaw:
        write_raw(*session_, message);
        return answered(is_legacy() ? fmt::format(",\"message_id\":{}", header->id) : std::string());
      case kWriteRawBlock: write_raw_block(*session_, message, RawFields::none); return answered();
      case kWriteRawBlockWithFields: write_raw_block(*session_, message, RawFields::follow); return answered();
      case number(Action::stmt_set_tags):
        request.statement = header->id;
        stmt_binary_set_tags(header->id, std::string_view(message).substr(wire::kRequestHeaderBytes));
        return answered();
      case number(Action::stmt_bind):
        request.statement = header->id;
        stmt_binary_bind(header->id, std::string_view(message).substr(wire::kRequestHeaderBytes));
        return answered();
      case number(Action::stmt2_bind):
        request.statement = header->id;
        statements_.bind(*session_, header->id, std::move(message));
        return answered();
      case number(Action::stmt2_bind_exec):
        request.statement = header->id;
        return answered(
            fmt::format(",\"affected\":{}", statements_.bind_execute(*session_, header->id, std::move(message))));
      default: break;
    }
  request.action = "unknown";
  refuse(fmt::format("unknown binary action {}", header->action));
}

std::string WsDialogue::version(WsRequest& request, const WsArgs&) {
  request.without_id = is_legacy();
  return fmt::format(",\"version\":\"{}\"", kServerVersion);
}

std::string WsDialogue::connect(WsRequest& request, const WsArgs& args) {
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
  auto session = options_.credentials
                     ? engine_.login(options_.credentials->user, options_.credentials->password, database)
                     : engine_.login(user, password, database);
  if (!zone.empty()) session->set_time_zone(zone);
  session_ = std::move(session);
  return is_legacy() ? std::string() : version(request, args);
}

std::string WsDialogue::check_server_status(WsRequest&, const WsArgs& args) {
  const bool local = !args.has("fqdn");
  args.text("fqdn");
  args.i64("port");
  // This server only knows of itself; any other host counts as unreachable.
  return fmt::format(",\"status\":{},\"details\":\"\"", local ? 2 : 0);
}

std::string WsDialogue::query(WsRequest&, const WsArgs& args) { return run_query(args.text("sql")); }

std::string WsDialogue::run_query(std::string_view sql) {
  if (options_.canned != nullptr) {
    if (const auto rows = options_.canned->rows_of(sql)) {
      Answer head;
      head.is_update = false;
      head.fields = options_.canned->fields();
      const std::uint64_t id = keep_result(head);
      results_.at(id).canned.emplace(*options_.canned, *rows);
      std::string more = fmt::format(",\"id\":{},\"is_update\":false,\"affected_rows\":0,", id);
      append_field_members(more, head, LengthKind::user);
      return more;
    }
  }
  Answer answer = session_->execute(sql);
  const bool update = answer.is_update;
  const std::uint64_t id = update ? 0 : ++last_result_id_;
  std::string more =
      fmt::format(",\"id\":{},\"is_update\":{},\"affected_rows\":{},", id, update, update ? answer.affected_rows : 0);
  if (update) answer.fields.clear();
  append_field_members(more, answer, LengthKind::user);
  if (is_legacy()) more.erase(more.find(",\"fields_precisions\""));
  if (!update) results_[id].answer = std::move(answer);
  return more;
}

std::uint64_t WsDialogue::keep_result(Answer answer) {
  results_[++last_result_id_].answer = std::move(answer);
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

std::string_view WsDialogue::next_block(OpenResult& result, std::size_t& rows) {
  if (result.canned) return result.given = result.canned->next(rows);
  rows = std::min(kBlockRows, result.answer.rows.size() - result.next_row);
  result.block = rows == 0 ? std::string() : result_block(result.answer, result.next_row, rows);
  result.next_row += rows;
  return result.given = result.block;
}

std::string WsDialogue::fetch(WsRequest&, const WsArgs& args) {
  const std::uint64_t id = args.u64("id");
  OpenResult& result = find_result(id);
  std::size_t rows = 0;
  if (next_block(result, rows).empty()) {
    results_.erase(id);
    return fmt::format(",\"id\":{},\"completed\":true,\"lengths\":null,\"rows\":0", id);
  }
  std::string more = fmt::format(",\"id\":{},\"completed\":false,\"lengths\":[", id);
  for (const auto& field : result.answer.fields) {
    if (more.back() != '[') more += ',';
    more += std::to_string(longest_cell(field));
  }
  return more += fmt::format("],\"rows\":{}", rows);
}

std::string WsDialogue::fetch_block(WsRequest& request, const WsArgs& args) {
  const std::uint64_t id = args.u64("id");
  const OpenResult& result = find_result(id);
  if (result.given.empty()) refuse("block is nil");
  request.binary = wire::encode_fetch_block_answer({static_cast<std::uint64_t>(request.elapsed_ns()), id, {}});
  request.binary_tail = result.given;
  return {};
}

std::string WsDialogue::fetch_raw_block(std::string_view message, WsRequest& request) {
  wire::FetchAnswer answer;
  answer.request_id = request.id;
  answer.result_id = wire::read_request_header(message)->id;
  answer.finished = true;
  std::string error_text;
  if (const auto error = wire::check_fetch(message)) {
    answer.code = error->code;
    error_text = error->message;
  } else if (const auto found = results_.find(answer.result_id); found == results_.end()) {
    answer.code = kAdapterError;
    error_text = "result is nil";
  } else {
    std::size_t rows = 0;
    request.binary_tail = next_block(found->second, rows);
    if (rows == 0) {
      results_.erase(found);
    } else {
      answer.finished = false;
    }
  }
  answer.message = error_text;
  answer.timing_ns = static_cast<std::uint64_t>(request.elapsed_ns());
  std::string head = wire::encode_fetch_answer(answer);
  // The block is sent from where it lies: only its length is written here.
  if (!answer.finished) {
    wire::store(head.data() + head.size() - 4, static_cast<std::uint32_t>(request.binary_tail.size()));
  }
  return head;
}

std::string WsDialogue::free_result(WsRequest& request, const WsArgs& args) {
  results_.erase(args.u64("id"));
  request.silent = true;
  return {};
}

std::string WsDialogue::num_fields(WsRequest&, const WsArgs& args) {
  return fmt::format(",\"num_fields\":{}", find_result(args.u64("result_id")).answer.fields.size());
}

std::string WsDialogue::insert(WsRequest& request, const WsArgs& args) {
  const auto protocol = args.i64("protocol").value_or(0);
  const std::string precision = args.text("precision");
  const auto ttl = args.i64("ttl").value_or(0);
  const std::string data = args.text("data");
  const std::string table_name_key = args.text("table_name_key");
  request.id_before_action = is_legacy();
  if (protocol == 0) refuse(is_legacy() ? "args error" : "schemaless write protocol is null");
  if (protocol < 1 || protocol > 3) refuse("protocol invalidate", 0x3000);
  std::int32_t total = 0;
  const std::int64_t affected = session_->insert_schemaless(
      static_cast<int>(protocol), protocol == 1 ? schemaless_precision(precision) : 0, data,
      static_cast<int>(std::clamp<std::int64_t>(ttl, INT32_MIN, INT32_MAX)), table_name_key, total);
  return fmt::format(",\"affected_rows\":{},\"total_rows\":{}", affected, total);
}

std::string WsDialogue::get_current_db(WsRequest&, const WsArgs&) {
  std::string more = ",\"db\":";
  append_json_text(more, session_->current_database());
  return more;
}

std::string WsDialogue::get_server_info(WsRequest&, const WsArgs&) {
  return fmt::format(",\"info\":\"ver:{}\\nbuild:penstock sandbox\\ngitinfo:none\"", kServerVersion);
}

std::string WsDialogue::options_connection(WsRequest&, const WsArgs& args) {
  const Json* options = static_cast<const Json*>(args.find("options"));
  if (options == nullptr) return {};
  if (!options->is_array()) throw UnmarshalError{};
  struct Option {
    std::int64_t number;
    std::string value;
  };
  std::vector<Option> parsed;
  for (const Json& item : *options) {
    if (!item.is_object() && !item.is_null()) throw UnmarshalError{};
    const WsArgs members{item.is_object() ? &item : nullptr};
    parsed.push_back({members.i64("option").value_or(0), members.text("value")});
  }
  for (const auto& option : parsed) {
    if (option.number < -1 || option.number > 3) refuse("Invalid parameters", kInvalidParameter);
    if (option.number == -1 || option.number == 1) session_->set_time_zone(option.number == 1 ? option.value : "");
  }
  return {};
}

}  // namespace penstock::sandbox
