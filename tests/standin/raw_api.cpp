#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "standin/bind.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/taos_abi.h"
#include "wire/block.h"
#include "wire/bytes.h"

/// Blocks of rows as results have them, written back: what tools for replication use.
namespace penstock::standin {
namespace {

/// A column of the block as a bind.
sandbox::BoundColumn column_of(const wire::Block& block, std::uint32_t c) {
  sandbox::BoundColumn column;
  column.type = block.type(c);
  for (std::uint32_t r = 0; r < block.rows(); ++r) {
    if (block.is_null(r, c)) {
      column.add_null();
    } else if (column.type == data::Type::nchar) {
      column.add_text(block.text(r, c));
    } else if (data::is_variable(column.type)) {
      column.add_text(block.bytes(r, c));
    } else if (const auto size = data::fixed_size(column.type); size > 8) {
      column.is_null += '\0';
      column.data.append(block.values(c) + size * r, size);
    } else {
      std::uint64_t bits = 0;
      std::memcpy(&bits, block.values(c) + size * r, size);
      column.add_fixed(bits);
    }
  }
  return column;
}

/// `fields` names the block's columns; without them they are the table's first ones.
void write(TAOS* taos, int rows, const char* bytes, const char* table, const TAOS_FIELD* fields, int field_count) {
  const auto connection = connection_of(taos);
  if (bytes == nullptr || table == nullptr || rows <= 0) fail_parameters();
  const auto size = wire::load<std::int32_t>(bytes + 4);
  if (size < 28) fail(0x0115, "Invalid message");
  const auto block = [&] {
    try {
      return wire::Block::decode({bytes, static_cast<std::size_t>(size)});
    } catch (const Error& error) {
      fail(0x0115, error.what());
    }
  }();
  if (block.rows() != static_cast<std::uint32_t>(rows)) fail_parameters();
  if (fields != nullptr && static_cast<std::uint32_t>(field_count) != block.columns()) fail_parameters();
  std::string sql = "insert into " + data::quote_identifier(table);
  std::string marks;
  std::vector<sandbox::BoundColumn> columns;
  for (std::uint32_t c = 0; c < block.columns(); ++c) {
    if (fields != nullptr) sql += (c == 0 ? " (" : ",") + data::quote_identifier(fields[c].name);
    marks += c == 0 ? "?" : ",?";
    columns.push_back(column_of(block, c));
  }
  sql += (fields != nullptr ? ") values (" : " values (") + marks + ")";
  connection->with_session([&](sandbox::Session& session) {
    const auto prepared = [&] {
      try {
        return session.prepare(sql);
      } catch (const sandbox::RefusalError& error) {
        if (error.refusal().code == 0x022B) fail(0x2603, "Table does not exist");  // no statement's business here
        throw;
      }
    }();
    sandbox::ColumnarTable bound;
    for (const auto& column : columns) bound.columns.push_back(column.view());
    session.insert_columns(*prepared, std::span(&bound, 1));
  });
}

int write_call(const char* function, TAOS* taos, int rows, const char* block, const char* table,
               const TAOS_FIELD* fields, int count) {
  return code_call(function, [&] { write(taos, rows, block, table, fields, count); });
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

int taos_write_raw_block(TAOS* taos, int rows, char* block, const char* table) {
  return write_call("taos_write_raw_block", taos, rows, block, table, nullptr, 0);
}

int taos_write_raw_block_with_reqid(TAOS* taos, int rows, char* block, const char* table, int64_t) {
  return write_call("taos_write_raw_block_with_reqid", taos, rows, block, table, nullptr, 0);
}

int taos_write_raw_block_with_fields(TAOS* taos, int rows, char* block, const char* table, TAOS_FIELD* fields,
                                     int count) {
  return write_call("taos_write_raw_block_with_fields", taos, rows, block, table, fields, count);
}

int taos_write_raw_block_with_fields_with_reqid(TAOS* taos, int rows, char* block, const char* table,
                                                TAOS_FIELD* fields, int count, int64_t) {
  return write_call("taos_write_raw_block_with_fields_with_reqid", taos, rows, block, table, fields, count);
}
}
