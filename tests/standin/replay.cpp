#include "standin/replay.h"

#include <fmt/format.h>

#include <cstring>

#include "data/types.h"

namespace penstock::test {
namespace {

constexpr int kSpareBinds = 8;
constexpr std::size_t kSpareBytes = 64;

std::string hex_code(int code) { return fmt::format("0x{:08x}", static_cast<std::uint32_t>(code)); }

const char* optional_text(const Json& record, const char* member) {
  const auto found = record.find(member);
  return found == record.end() || !found->is_string() ? nullptr : found->get_ref<const std::string&>().c_str();
}

/// The recorder lost what follows a first 0 in is_null; the rows that the statement then stored tell what it was: NULL
/// in every later row whose value is zero or empty (never a timestamp).
std::string restored_states(const Json& bind) {
  auto states = from_hex(bind.at("is_null").get<std::string>());
  const auto buffer = from_hex(bind.at("buffer").get<std::string>());
  const auto type = static_cast<data::Type>(bind.at("type").get<int>());
  const auto size = data::fixed_size(type);
  for (std::size_t r = 1; r < states.size() && type != data::Type::timestamp; ++r) {
    const bool zero = size == 0 ? bind.at("length")[r] == 0 : buffer.substr(r * size, size) == std::string(size, '\0');
    if (zero) states[r] = 1;
  }
  return states;
}

template <class Field>
Json field_list(const Field* fields, int count) {
  Json list = Json::array();
  for (int i = 0; i < count; ++i) {
    Json one{{"name", fields[i].name}, {"type", fields[i].type}};
    if constexpr (!std::is_same_v<Field, TAOS_FIELD>) {
      one["precision"] = fields[i].precision;
      one["scale"] = fields[i].scale;
    }
    one["bytes"] = fields[i].bytes;
    if constexpr (std::is_same_v<Field, TAOS_FIELD_ALL>) one["field_type"] = fields[i].field_type;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string to_hex(const void* bytes, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += fmt::format("{:02x}", static_cast<const std::uint8_t*>(bytes)[i]);
  return out;
}

std::string from_hex(const std::string& hex) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return out;
}

// --- binds ---

RecordedBind::RecordedBind(const Json& described) {
  bindv.count = described.at("count").get<int>();
  if (const auto& names = described.at("tbnames"); names.is_array()) {
    for (const auto& name : names) {
      texts_.push_back(std::make_unique<std::string>(name.get<std::string>()));
      names_.push_back(texts_.back()->data());
    }
    bindv.tbnames = names_.data();
  }
  if (const auto& tags = described.at("tags"); tags.is_array()) {
    for (const auto& binds : tags) tags_.push_back(add(binds));
    bindv.tags = tags_.data();
  }
  if (const auto& columns = described.at("cols"); columns.is_array()) {
    for (const auto& binds : columns) columns_.push_back(add(binds));
    bindv.bind_cols = columns_.data();
  }
}

TAOS_STMT2_BIND* RecordedBind::add(const Json& binds) {
  arrays_.push_back(std::make_unique<std::vector<TAOS_STMT2_BIND>>(binds.size() + kSpareBinds));
  auto& array = *arrays_.back();
  for (std::size_t i = 0; i < binds.size(); ++i) {
    const auto& from = binds[i];
    auto& to = array[i];
    to.buffer_type = from.at("type").get<int>();
    to.num = from.at("num").get<int>();
    auto buffer = from.at("buffer").get<std::string>();
    if (buffer.ends_with("bytes")) {  // too long for the record: times one after the other, or zeros
      buffer.assign(static_cast<std::size_t>(std::stol(buffer)), '\0');
      for (std::int64_t r = 0; to.buffer_type == 9 && r < to.num; ++r) {
        const std::int64_t time = 1'700'000'000'000 + r;
        std::memcpy(buffer.data() + 8 * r, &time, sizeof time);
      }
    } else {
      buffer = from_hex(buffer);
    }
    buffer.resize(buffer.size() + kSpareBytes);
    texts_.push_back(std::make_unique<std::string>(std::move(buffer)));
    to.buffer = texts_.back()->data();
    if (const auto states = from.at("is_null").get<std::string>(); !states.empty()) {
      texts_.push_back(std::make_unique<std::string>(restored_states(from)));
      to.is_null = texts_.back()->data();
    }
    if (from.contains("length")) {
      lengths_.push_back(std::make_unique<std::vector<std::int32_t>>(from["length"].get<std::vector<std::int32_t>>()));
      to.length = lengths_.back()->data();
    }
  }
  return array.data();
}

// --- calls ---

Replay::~Replay() {
  free_result();
  if (statement_ != nullptr) STANDIN(library_, taos_stmt2_close)(statement_);
  if (taos_ != nullptr) STANDIN(library_, taos_close)(taos_);
}

void Replay::connect() {
  static std::uint16_t port = 20000;  // only a name: nothing listens anywhere
  taos_ = STANDIN(library_, taos_connect)("127.0.0.1", "root", "taosdata", nullptr, ++port);
  if (taos_ == nullptr) throw std::runtime_error("taos_connect");
}

void Replay::execute(const std::string& sql) {
  TAOS_RES* const result = STANDIN(library_, taos_query)(taos_, sql.c_str());
  const int code = STANDIN(library_, taos_errno)(result);
  const std::string text = STANDIN(library_, taos_errstr)(result);
  STANDIN(library_, taos_free_result)(result);
  if (code != 0) throw std::runtime_error(sql + ": " + text);
}

Json Replay::run(const Json& record) {
  const auto api = record.at("api").get<std::string>();
  if (api == "taos_connect") return tried_connect(record);
  if (api == "taos_query") return query(record);
  if (api == "taos_fetch_row") return fetch_row(record);
  if (api == "taos_fetch_raw_block") return fetch_raw_block(record);
  if (api.starts_with("taos_schemaless")) return schemaless(record);
  if (api.starts_with("taos_stmt2")) return statement(record);
  Json answer = record;
  if (api == "taos_get_client_info") answer["value"] = STANDIN(library_, taos_get_client_info)();
  if (api == "taos_get_server_info") answer["value"] = STANDIN(library_, taos_get_server_info)(taos_);
  if (api == "taos_select_db") {
    const int code = STANDIN(library_, taos_select_db)(taos_, optional_text(record, "db"));
    answer["rc"] = code;
    answer["errno"] = STANDIN(library_, taos_errno)(nullptr);
    answer["errno_hex"] = hex_code(answer["errno"].get<int>());
    answer["errstr"] = STANDIN(library_, taos_errstr)(nullptr);
  }
  if (api == "taos_fetch_fields") {
    const int count = STANDIN(library_, taos_field_count)(statement_result_);
    answer["fields"] = field_list(STANDIN(library_, taos_fetch_fields)(statement_result_), count);
  }
  return answer;
}

Json Replay::tried_connect(Json answer) {
  const bool nothing_listens = !answer.contains("user");
  const std::uint16_t port = nothing_listens ? 19999 : 20000;
  STANDIN(library_, penstock_standin_refuse_port)(19999, 1);
  TAOS* const taos = STANDIN(library_, taos_connect)(
      "127.0.0.1", nothing_listens ? "root" : optional_text(answer, "user"),
      nothing_listens ? "taosdata" : optional_text(answer, "password"), optional_text(answer, "db"), port);
  answer["connected"] = taos != nullptr;
  if (taos != nullptr) STANDIN(library_, taos_close)(taos);
  const int code = STANDIN(library_, taos_errno)(nullptr);
  answer["errno"] = code;
  answer["errno_hex"] = hex_code(code);
  answer["errstr"] = STANDIN(library_, taos_errstr)(nullptr);
  return answer;
}

void Replay::free_result() {
  if (result_ != nullptr) STANDIN(library_, taos_free_result)(std::exchange(result_, nullptr));
}

Json Replay::query(const Json& record) {
  free_result();
  TAOS* const taos = record.contains("connection") ? nullptr : taos_;
  statement_result_ = nullptr;
  result_ = STANDIN(library_, taos_query)(taos, optional_text(record, "sql"));
  return result_members(record, result_);
}

Json Replay::result_members(Json answer, TAOS_RES* result) {
  const int code = STANDIN(library_, taos_errno)(result);
  answer["errno"] = code;
  answer["errno_hex"] = hex_code(code);
  answer["errstr"] = STANDIN(library_, taos_errstr)(result);
  if (code != 0) return answer;
  if (answer.contains("affected_rows")) answer["affected_rows"] = STANDIN(library_, taos_affected_rows64)(result);
  if (answer.contains("is_update_query")) answer["is_update_query"] = STANDIN(library_, taos_is_update_query)(result);
  const int count = STANDIN(library_, taos_field_count)(result);
  if (answer.contains("field_count")) answer["field_count"] = count;
  if (count == 0 || !answer.contains("fields")) return answer;
  const auto* const fields = STANDIN(library_, taos_fetch_fields)(result);
  answer["fields"] = field_list(fields, count);
  if (answer.contains("fields_hex")) {
    answer["fields_hex"] = to_hex(fields, static_cast<std::size_t>(count) * sizeof(TAOS_FIELD));
  }
  answer["fields_e"] = field_list(STANDIN(library_, taos_fetch_fields_e)(result), count);
  answer["precision"] = STANDIN(library_, taos_result_precision)(result);
  return answer;
}

Json Replay::fetch_row(Json answer) {
  const TAOS_ROW row = STANDIN(library_, taos_fetch_row)(result_);
  answer.erase("lengths");
  answer["row"] = nullptr;
  if (row == nullptr) return answer;
  const int count = STANDIN(library_, taos_field_count)(result_);
  const int* const lengths = STANDIN(library_, taos_fetch_lengths)(result_);
  answer["row"] = Json::array();
  answer["lengths"] = std::vector<int>(lengths, lengths + count);
  for (int i = 0; i < count; ++i) {
    answer["row"].push_back(row[i] == nullptr ? Json() : Json(to_hex(row[i], static_cast<std::size_t>(lengths[i]))));
  }
  return answer;
}

Json Replay::fetch_raw_block(Json answer) {
  int rows = 0;
  void* data = nullptr;
  TAOS_RES* const result = statement_result_ != nullptr ? statement_result_ : result_;
  answer["rc"] = STANDIN(library_, taos_fetch_raw_block)(result, &rows, &data);
  answer["rows"] = rows;
  answer.erase("hex");
  if (rows == 0) return answer;
  std::int32_t size = 0;
  std::memcpy(&size, static_cast<const char*>(data) + 4, sizeof size);
  answer["hex"] = to_hex(data, static_cast<std::size_t>(size));
  return answer;
}

Json Replay::schemaless(Json answer) {
  free_result();
  auto text = answer.at("data").get<std::string>();
  std::int32_t rows = -1;
  result_ = STANDIN(library_, taos_schemaless_insert_raw_ttl_with_reqid_tbname_key)(
      taos_, text.data(), static_cast<int>(text.size()), &rows, answer.at("protocol").get<int>(),
      answer.at("precision").get<int>(), answer.at("ttl").get<int>(), 1,
      const_cast<char*>(optional_text(answer, "tbname_key")));
  answer["total_rows"] = rows;
  answer["affected_rows"] = STANDIN(library_, taos_affected_rows)(result_);
  return result_members(std::move(answer), result_);
}

Json Replay::statement_code(Json answer, int code) {
  answer["rc"] = code;
  if (!answer.contains("rc_hex")) return answer;
  answer["rc_hex"] = hex_code(code);
  answer["error"] = code == 0 ? Json() : Json(STANDIN(library_, taos_stmt2_error)(statement_));
  return answer;
}

Json Replay::statement(Json answer) {
  const auto api = answer.at("api").get<std::string>();
  if (api == "taos_stmt2_init") {
    TAOS_STMT2_OPTION option{};
    option.singleStbInsert = answer.at("singleStbInsert").get<bool>();
    option.singleTableBindOnce = answer.at("singleTableBindOnce").get<bool>();
    if (statement_ != nullptr) STANDIN(library_, taos_stmt2_close)(statement_);  // the record's process had ended
    statement_ = STANDIN(library_, taos_stmt2_init)(taos_, answer.at("option").get<bool>() ? &option : nullptr);
    answer["ok"] = statement_ != nullptr;
    return answer;
  }
  if (api == "taos_stmt2_prepare") {
    return statement_code(answer, STANDIN(library_, taos_stmt2_prepare)(statement_, optional_text(answer, "sql"), 0));
  }
  if (api == "taos_stmt2_is_insert") {
    int insert = 0;
    answer["rc"] = STANDIN(library_, taos_stmt2_is_insert)(statement_, &insert);
    answer["insert"] = insert;
    return answer;
  }
  if (api == "taos_stmt2_get_fields") return get_fields(std::move(answer));
  if (api == "taos_stmt2_bind_param (call)") {
    bind_call_ = answer;
    return answer;
  }
  if (api == "taos_stmt2_bind_param") {
    RecordedBind bind(bind_call_.at("bindv"));
    const int column = bind_call_.at("col_idx").get<int>();
    return statement_code(answer, STANDIN(library_, taos_stmt2_bind_param)(statement_, &bind.bindv, column));
  }
  if (api == "taos_stmt2_exec") {
    int affected = -1;
    answer = statement_code(answer, STANDIN(library_, taos_stmt2_exec)(statement_, &affected));
    answer["affected_rows"] = affected;
    return answer;
  }
  if (api == "taos_stmt2_result") {
    statement_result_ = STANDIN(library_, taos_stmt2_result)(statement_);
    answer["ok"] = statement_result_ != nullptr;
    return answer;
  }
  if (api == "taos_stmt2_close") answer["rc"] = STANDIN(library_, taos_stmt2_close)(std::exchange(statement_, nullptr));
  return answer;
}

Json Replay::get_fields(Json answer) {
  int count = 0;
  TAOS_FIELD_ALL* fields = nullptr;
  const int code = STANDIN(library_, taos_stmt2_get_fields)(statement_, &count, &fields);
  answer = statement_code(std::move(answer), code);
  answer["count"] = count;
  answer.erase("fields");
  answer.erase("fields_hex");
  if (fields == nullptr) return answer;
  answer["fields"] = field_list(fields, count);
  answer["fields_hex"] = to_hex(fields, static_cast<std::size_t>(count) * sizeof(TAOS_FIELD_ALL));
  STANDIN(library_, taos_stmt2_free_fields)(statement_, fields);
  return answer;
}

}  // namespace penstock::test
