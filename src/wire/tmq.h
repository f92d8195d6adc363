#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/types.h"
#include "wire/bytes.h"

/// Binary answers of subscriptions (endpoint /rest/tmq) and what their payloads are made of: TDengine's adapter 3.3.7.
/// Decoders take any bytes: lengths are checked before use, and what is malformed throws Error(Errc::protocol).
/// Views in what they return point into the message.
namespace penstock::wire {

/// What a payload is. Others are numbers of the engine's messages for DDL: payloads that are passed on, not read.
enum class RawType : std::uint16_t {
  data = 2,           ///< rows, see DataPayload
  data_and_meta = 4,  ///< rows, and in the tail of the payload the child tables that they made
  batch_meta = 5,
  raw_data = 6,  ///< rows as the engine stores them
  create_table = 515,
  alter_table = 517,
  drop_table = 519,
  create_stable = 531,
  alter_stable = 533,
  drop_stable = 535,
  delete_rows = 579,
};

/// Answer to fetch_raw_data.
struct RawDataAnswer {
  std::uint64_t timing_ns = 0;
  std::uint64_t request_id = 0;
  std::int32_t code = 0;  ///< when it is not 0 there is no payload
  std::string_view message;
  std::uint64_t message_id = 0;
  std::uint16_t type = 0;  ///< see RawType
  std::string_view payload;
};
/// Tells it from the other binary answers.
bool is_raw_data_answer(std::string_view message) noexcept;
RawDataAnswer decode_raw_data_answer(std::string_view message);
std::string encode_raw_data_answer(const RawDataAnswer& answer);

/// Answer to the older fetch_raw; its errors are JSON.
struct RawAnswer {
  std::uint64_t timing_ns = 0;
  std::uint64_t request_id = 0;
  std::uint64_t message_id = 0;
  std::uint16_t type = 0;  ///< see RawType
  std::string_view payload;
};
RawAnswer decode_raw_answer(std::string_view message);
std::string encode_raw_answer(const RawAnswer& answer);

/// Answer to fetch_block of a subscription; its errors are JSON.
struct MessageBlockAnswer {
  std::uint64_t timing_ns = 0;
  std::uint64_t request_id = 0;  ///< of the fetch before it, not of the fetch_block
  std::uint64_t message_id = 0;
  std::string_view block;  ///< see wire/block.h; not checked
};
MessageBlockAnswer decode_message_block_answer(std::string_view message);
std::string encode_message_block_answer(const MessageBlockAnswer& answer);

/// A column as the schema of a block tells it.
struct SchemaColumn {
  data::Type type = data::Type::null;
  std::uint8_t flags = 0;         ///< 1 in topics on tables, 0 in those on queries
  std::int32_t stored_bytes = 0;  ///< see Block::stored_bytes()
  std::int32_t id = 0;            ///< from 1 in the order in which the columns were added
  std::string_view name;
  bool operator==(const SchemaColumn&) const = default;
};

/// One block of a message: rows of one table, or of a query.
struct MessageBlock {
  std::uint64_t rows = 0;      ///< as the entry tells it; the block says so again
  std::uint8_t precision = 0;  ///< of its timestamps: 0 ms, 1 us, 2 ns
  std::string_view block;      ///< see wire/block.h; not checked
  std::int32_t schema_version = 0;
  std::size_t first_column = 0;  ///< its columns in DataPayload::columns
  std::size_t column_count = 0;  ///< 0 without a schema
  std::string_view table;        ///< empty without table names
};

/// Payload of a message with rows:
/// - u8 version of the head; from 100 on i32 length and that many bytes, before that two offsets of their own lengths
/// - i32 number of blocks, u8 with table names, u8 with schemas
/// - per block: varint length of the entry (8 bytes version, 8 bytes rows big-endian, u8 compressed, u8 precision, the
///   raw block); with schemas: zigzag varints columns and version, per column u8 type, u8 flags, zigzag varints bytes
///   and id, name; with table names: the table's name. Names: varint length with the NUL, bytes, NUL.
/// - the tail: eight zero bytes; in RawType::data_and_meta the creations of child tables
struct DataPayload {
  std::string_view head;  ///< without its version and length; see message_head()
  bool with_tables = false;
  bool with_schemas = true;
  std::vector<MessageBlock> blocks;
  std::vector<SchemaColumn> columns;  ///< of all blocks, one after another
  std::string_view tail;

  /// Columns of blocks[index]; empty without schemas.
  [[nodiscard]] std::span<const SchemaColumn> columns_of(std::size_t index) const noexcept {
    return std::span(columns).subspan(blocks[index].first_column, blocks[index].column_count);
  }
};
DataPayload decode_data_payload(std::string_view payload);
std::string encode_data_payload(const DataPayload& payload);

/// The head that 3.3.7 sends: where the consumer asked from and where it goes on, places in the log of a vgroup.
std::string message_head(std::int64_t from, std::int64_t next);

}  // namespace penstock::wire
