#include <fmt/format.h>

#include "sandbox/result_json.h"
#include "sandbox/server_ws.h"
#include "sandbox/stmt1_decode.h"

/// The statement actions of WsDialogue, of both generations.
namespace penstock::sandbox {
namespace {

/// `[{"name":…,"field_type":…,…}]`; "null" when there are none.
std::string fields_json(std::span<const PreparedField> fields, bool with_bind) {
  if (fields.empty()) return "null";
  std::string text = "[";
  for (const auto& field : fields) {
    text += text.back() == '[' ? "{\"name\":" : ",{\"name\":";
    append_json_text(text, field.column.name);
    const bool is_time = field.column.type == data::Type::timestamp;
    // Of DECIMAL columns too the real server leaves precision and scale at 0 here.
    fmt::format_to(std::back_inserter(text), ",\"field_type\":{},\"precision\":{},\"scale\":0,\"bytes\":{}",
                   static_cast<int>(field.column.type), is_time ? field.time_precision : 0, field.stored_bytes);
    if (with_bind) fmt::format_to(std::back_inserter(text), ",\"bind_type\":{}", static_cast<int>(field.bind));
    text += '}';
  }
  return text += ']';
}

}  // namespace

// --- first generation ---

Stmt1Statement& WsDialogue::find_statement(std::uint64_t id) {
  const auto found = first_generation_.find(id);
  if (found == first_generation_.end()) refuse_request("stmt is nil");
  return found->second;
}

std::string WsDialogue::stmt_init(WsRequest& request, const WsArgs&) {
  request.statement = ++last_statement_id_;
  first_generation_.try_emplace(last_statement_id_);
  return {};
}

std::string WsDialogue::stmt_prepare(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  std::string sql = args.text("sql");
  const bool is_insert = find_statement(*request.statement).prepare(std::move(sql));
  return is_legacy() ? std::string() : fmt::format(",\"is_insert\":{}", is_insert);
}

std::string WsDialogue::stmt_set_table_name(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  const std::string name = args.text("name");
  find_statement(*request.statement).set_table_name(*session_, name);
  return {};
}

std::string WsDialogue::stmt_set_tags(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  auto& statement = find_statement(*request.statement);
  const auto fields = statement.expected_tags(*session_);
  statement.set_tags(*session_, tags_from_json(args.json("tags"), fields));
  return {};
}

std::string WsDialogue::stmt_bind(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  auto& statement = find_statement(*request.statement);
  const auto fields = statement.expected_columns(*session_);
  statement.bind(*session_, columns_from_json(args.json("columns"), fields));
  return {};
}

void WsDialogue::stmt_binary_set_tags(std::uint64_t id, std::string_view block) {
  auto& statement = find_statement(id);
  statement.set_tags(*session_, tags_from_block(block, statement.expected_tags(*session_)));
}

void WsDialogue::stmt_binary_bind(std::uint64_t id, std::string_view block) {
  auto& statement = find_statement(id);
  const auto fields = statement.expected_columns(*session_);
  statement.bind(*session_, statement.is_insert() ? columns_from_block(block, fields) : columns_from_block(block));
}

std::string WsDialogue::stmt_add_batch(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  find_statement(*request.statement).add_batch();
  return {};
}

std::string WsDialogue::stmt_exec(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  return fmt::format(",\"affected\":{}", find_statement(*request.statement).execute(*session_));
}

std::string WsDialogue::stmt_get_tag_fields(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  return ",\"fields\":" + fields_json(find_statement(*request.statement).tag_fields(*session_), false);
}

std::string WsDialogue::stmt_get_col_fields(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  return ",\"fields\":" + fields_json(find_statement(*request.statement).column_fields(*session_), false);
}

std::string WsDialogue::stmt_use_result(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  Answer answer = find_statement(*request.statement).take_result();
  std::string fields;
  append_field_members(fields, answer, LengthKind::stored);
  return fmt::format(",\"result_id\":{},{}", keep_result(std::move(answer)), fields);
}

std::string WsDialogue::stmt_num_params(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  return fmt::format(",\"num_params\":{}", find_statement(*request.statement).parameter_count(*session_));
}

std::string WsDialogue::stmt_get_param(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  const auto index = args.i64("index").value_or(0);
  const auto parameter = find_statement(*request.statement).parameter(*session_, index);
  return fmt::format(",\"index\":{},\"data_type\":{},\"length\":{}", index, static_cast<int>(parameter.type),
                     parameter.stored_bytes);
}

std::string WsDialogue::stmt_close(WsRequest& request, const WsArgs& args) {
  const auto id = args.u64("stmt_id");
  request.statement = id;
  if (statements_.contains(id)) refuse_request("stmt type not match");
  if (first_generation_.erase(id) == 0 && is_legacy()) refuse_request("stmt is nil");
  request.silent = true;
  return {};
}

// --- second generation ---

std::string WsDialogue::stmt2_init(WsRequest& request, const WsArgs& args) {
  args.boolean("single_stb_insert");  // how the rows lie in memory: no difference here
  args.boolean("single_table_bind_once");
  request.statement = ++last_statement_id_;
  statements_.open(last_statement_id_);
  return {};
}

std::string WsDialogue::stmt2_prepare(WsRequest& request, const WsArgs& args) {
  const std::uint64_t id = args.u64("stmt_id");
  const std::string sql = args.text("sql");
  const bool get_fields = args.boolean("get_fields");
  request.statement = id;
  const auto prepared = statements_.prepare(*session_, id, sql, get_fields);
  return fmt::format(",\"is_insert\":{},\"fields\":{},\"fields_count\":{}", prepared.is_insert,
                     fields_json(prepared.fields, true), prepared.fields_count);
}

std::string WsDialogue::stmt2_exec(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  return fmt::format(",\"affected\":{}", statements_.execute(*session_, *request.statement));
}

std::string WsDialogue::stmt2_result(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  Answer answer = statements_.take_result(*request.statement);
  std::string fields;
  append_field_members(fields, answer, LengthKind::stored);
  return fmt::format(",\"id\":{},{}", keep_result(std::move(answer)), fields);
}

std::string WsDialogue::stmt2_close(WsRequest& request, const WsArgs& args) {
  request.statement = args.u64("stmt_id");
  if (first_generation_.contains(*request.statement)) refuse_request("stmt type not match");
  statements_.close(*request.statement);
  return {};
}

}  // namespace penstock::sandbox
