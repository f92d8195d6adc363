#include "sandbox/server_upload.h"

#include <fmt/format.h>

#include <chrono>

#include "data/schema.h"
#include "sandbox/result_json.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {
namespace {

constexpr std::int32_t kAdapterError = 0xFFFF;
constexpr std::size_t kStatementBytes = 512 * 1024;  // well below the longest SQL

/// Body of the part of that name; nullopt: there is none.
std::optional<std::string_view> multipart_body(std::string_view body, std::string_view content_type,
                                               std::string_view name) {
  const auto at = content_type.find("boundary=");
  if (at == std::string_view::npos) return std::nullopt;
  auto boundary = content_type.substr(at + 9);
  boundary = boundary.substr(0, boundary.find(';'));
  if (boundary.size() >= 2 && boundary.front() == '"') boundary = boundary.substr(1, boundary.size() - 2);
  if (boundary.empty()) return std::nullopt;
  const std::string mark = "--" + std::string(boundary);
  for (std::size_t begin = body.find(mark); begin != std::string_view::npos;) {
    begin += mark.size();
    const auto end = body.find(mark, begin);
    if (end == std::string_view::npos) return std::nullopt;
    auto part = body.substr(begin, end - begin);
    begin = end;
    const auto blank = part.find("\r\n\r\n");
    if (blank == std::string_view::npos) continue;
    if (part.substr(0, blank).find(fmt::format("name=\"{}\"", name)) == std::string_view::npos) continue;
    part.remove_prefix(blank + 4);
    if (part.ends_with("\r\n")) part.remove_suffix(2);
    return part;
  }
  return std::nullopt;
}

/// The next record of a CSV; false at the end. Quotes may hold commas, line ends and doubled quotes.
bool next_record(std::string_view& csv, std::vector<std::string>& fields) {
  fields.clear();
  while (!csv.empty() && (csv.front() == '\n' || csv.front() == '\r')) csv.remove_prefix(1);
  if (csv.empty()) return false;
  std::string field;
  bool quoted = false;
  std::size_t at = 0;
  for (; at < csv.size(); ++at) {
    const char c = csv[at];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (at + 1 < csv.size() && csv[at + 1] == '"') {
        field += csv[++at];
      } else {
        quoted = false;
      }
    } else if (c == '"' && field.empty()) {
      quoted = true;
    } else if (c == ',') {
      fields.push_back(std::move(field));
      field.clear();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      field += c;
    }
  }
  fields.push_back(std::move(field));
  csv.remove_prefix(std::min(csv.size(), at + 1));
  return true;
}

/// A field as an SQL literal: NULL when empty, in quotes otherwise, which the engine reads as the column's type.
void append_literal(std::string& sql, std::string_view field) {
  if (field.empty() || field == "NULL" || field == "null") {
    sql += "NULL";
    return;
  }
  const bool number = field.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  if (number) {
    sql += field;
    return;
  }
  sql += '\'';
  for (const char c : field) {
    if (c == '\'' || c == '\\') sql += '\\';
    sql += c;
  }
  sql += '\'';
}

}  // namespace

HttpResponse upload_csv(const HttpService& service, const HttpRequest& request) {
  const auto begun = std::chrono::steady_clock::now();
  const auto refuse = [&](int status, std::int32_t code, std::string_view text) {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begun).count();
    return json_response(status, rest_error(code, text, elapsed));
  };
  const auto credentials = rest_credentials(service, request);
  if (const auto* error = std::get_if<HttpRefusal>(&credentials))
    return refuse(error->status, error->code, error->text);
  const auto& who = std::get<Credentials>(credentials);
  const auto database = request.parameter("db");
  const auto table = request.parameter("table");
  if (database.empty()) return refuse(400, kAdapterError, "db required");
  if (table.empty()) return refuse(400, kAdapterError, "table required");
  const auto csv = multipart_body(request.body, request.header("Content-Type").value_or(""), "data");
  if (!csv) return refuse(400, kAdapterError, "no part named data in the form");
  try {
    const auto session = service.engine.login(who.user, who.password, database);
    const std::string name = data::quote_identifier(database) + "." + data::quote_identifier(table);
    const auto columns = session->execute("describe " + name).rows;
    std::size_t count = 0;
    for (const auto& column : columns) {
      const bool is_tag = column.size() > 3 && column[3].text == "TAG";
      if (!is_tag) ++count;
    }
    std::string sql;
    std::int64_t rows = 0;
    std::int64_t written = 0;
    const auto flush = [&] {
      if (!sql.empty()) session->execute(sql);
      sql.clear();
      written = rows;
    };
    std::vector<std::string> fields;
    auto rest = *csv;
    while (next_record(rest, fields)) {
      if (fields.size() != count) {
        return refuse(400, kAdapterError,
                      fmt::format("record {} of the CSV has {} fields, the table has {} columns; {} rows were written",
                                  rows + 1, fields.size(), count, written));
      }
      if (sql.empty()) sql = "insert into " + name + " values ";
      sql += '(';
      for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i > 0) sql += ',';
        append_literal(sql, fields[i]);
      }
      sql += ')';
      ++rows;
      if (sql.size() > kStatementBytes) flush();
    }
    flush();
    Answer answer;
    answer.affected_rows = rows;
    return {200,
            {{"Content-Type", "text/plain; charset=utf-8"}},
            rest_result(answer, RowShape::arrays, *TimeZone::find(""), std::nullopt),
            false};
  } catch (const RefusalError& error) {
    return refuse(200, error.refusal().code & 0xffff, error.refusal().message);
  }
}

}  // namespace penstock::sandbox
