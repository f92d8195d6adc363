#include "sandbox/raw_write.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "sandbox/stmt1_decode.h"
#include "wire/bytes.h"
#include "wire/messages.h"
#include "wire/tmq.h"

namespace penstock::sandbox {
namespace {

constexpr std::int32_t kNotSupported = 0x0100;
constexpr std::int32_t kInvalidParameter = 0x0118;
constexpr std::int32_t kNoTableName = 0x022B;
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::size_t kFieldRecord = 72;  ///< name[65], i8 type, 2 bytes of padding, i32 bytes
constexpr std::size_t kFieldName = 65;

[[noreturn]] void invalid(const char* why) {
  throw RefusalError(kInvalidParameter, fmt::format("Invalid parameters: {}", why));
}

/// Rows of `block` into one table, all or none.
void insert_block(Session& session, std::string_view table, std::string_view block,
                  const std::vector<std::string>& names, std::size_t columns) {
  const auto dot = table.find('.');
  std::string sql = "insert into ";
  if (dot != std::string_view::npos) sql += data::quote_identifier(table.substr(0, dot)) + ".";
  sql += data::quote_identifier(dot == std::string_view::npos ? table : table.substr(dot + 1));
  std::string list;
  std::string marks;
  for (std::size_t c = 0; c < columns; ++c) {
    if (!names.empty()) list += (c == 0 ? "" : ",") + data::quote_identifier(names[c]);
    marks += c == 0 ? "?" : ",?";
  }
  if (names.empty() && columns > 0) {
    // The table may have more columns than the block.
    const auto described = session.execute("describe " + sql.substr(std::string_view("insert into ").size())).rows;
    if (columns > described.size()) invalid("the block has more columns than the table");
    for (std::size_t c = 0; c < columns; ++c) {
      list += (c == 0 ? "" : ",") + data::quote_identifier(described[c][0].text);
    }
  }
  sql += " (" + list + ") values (" + marks + ")";
  try {
    const auto prepared = session.prepare(sql);
    const auto bound = columns_from_block(block, session.fields(*prepared));
    if (bound.empty() || bound.front().rows() == 0) return;
    ColumnarTable rows;
    for (const auto& column : bound) rows.columns.push_back(column.view());
    session.insert_columns(*prepared, std::span(&rows, 1));
  } catch (const RefusalError& error) {
    if (error.refusal().code != kNoTableName) throw;
    throw RefusalError(kTableMissing, error.refusal().message);
  }
}

std::size_t column_count(std::string_view block) {
  return static_cast<std::size_t>(std::max(0, wire::load<std::int32_t>(block.data() + 12)));
}

}  // namespace

void write_raw_block(Session& session, std::string_view message, RawFields fields) {
  constexpr std::size_t kHead = wire::kRequestHeaderBytes + 6;
  if (message.size() < kHead) invalid("the message is too short");
  const auto rows = wire::load<std::int32_t>(message.data() + 24);
  const std::size_t name_length = wire::load<std::uint16_t>(message.data() + 28);
  auto rest = message.substr(kHead);
  if (rest.size() < name_length) invalid("the table's name is cut short");
  const auto table = rest.substr(0, name_length);
  rest.remove_prefix(name_length);
  if (table.empty()) invalid("no table is named");
  const auto used = block_bytes(rest);
  if (used == 0) invalid("the block is cut short or damaged");
  if (wire::load<std::int32_t>(rest.data() + 8) != rows) invalid("the number of rows is not the block's");
  const auto columns = column_count(rest);
  std::vector<std::string> names;
  if (fields == RawFields::follow) {
    // Located by the block's own length, which may count a byte behind its columns.
    const auto length = wire::load<std::int32_t>(rest.data() + 4);
    if (length < 0 || static_cast<std::size_t>(length) < used || static_cast<std::size_t>(length) > rest.size()) {
      invalid("the block's length is wrong");
    }
    auto records = rest.substr(static_cast<std::size_t>(length));
    if (records.size() / kFieldRecord < columns) invalid("fields are missing behind the block");
    for (std::size_t c = 0; c < columns; ++c) {
      const auto name = records.substr(c * kFieldRecord, kFieldName);
      names.emplace_back(name.substr(0, name.find('\0')));
    }
  }
  insert_block(session, table, rest.substr(0, used), names, columns);
}

void write_raw(Session& session, std::string_view message) {
  constexpr std::size_t kHead = wire::kRequestHeaderBytes + 6;
  if (message.size() < kHead) invalid("the message is too short");
  const auto length = wire::load<std::uint32_t>(message.data() + 24);
  const auto type = wire::load<std::uint16_t>(message.data() + 28);
  if (message.size() - kHead < length) invalid("the payload is cut short");
  if (type != wire::number(wire::RawType::data)) {
    throw RefusalError(kNotSupported,
                       fmt::format("Operation not supported: raw data of type {} (the sandbox writes rows "
                                   "back, type 2, and no DDL)",
                                   type));
  }
  try {
    const auto payload = wire::decode_data_payload(message.substr(kHead, length));
    if (!payload.with_tables || !payload.with_schemas) invalid("the payload names no tables");
    for (std::size_t i = 0; i < payload.blocks.size(); ++i) {
      std::vector<std::string> names;
      for (const auto& column : payload.columns_of(i)) names.emplace_back(column.name);
      const auto& block = payload.blocks[i];
      if (block.block.size() < 28 || column_count(block.block) != names.size()) {
        invalid("a block does not fit its schema");
      }
      insert_block(session, block.table, block.block, names, names.size());
    }
  } catch (const Error& error) {
    throw RefusalError(kInvalidParameter, error.what());
  }
}

}  // namespace penstock::sandbox
