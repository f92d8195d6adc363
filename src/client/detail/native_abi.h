#pragma once

#include <cstddef>
#include <cstdint>

/// The binary interface of TDengine's client library (libtaos.so) as far as it is used here: structures, enumerations
/// and function types of x86-64 and aarch64 Linux, C enumerations being `int`. Source: TDengine's C/C++ client
/// reference and a client 3.3.7.5. Functions that older clients lack are in native_library.h.
namespace penstock::client::detail::native {

// Handles; nobody looks inside.
struct Taos;
struct Res;
struct Stmt2;
struct Tmq;
struct TmqConf;
struct TmqList;

/// taos_options(): process-wide, before the first connection.
enum Option : int { option_timezone = 2, option_config_directory = 3, option_driver = 6 };
/// taos_options_connection().
enum ConnectionOption : int { connection_timezone = 1, connection_application = 3 };
/// Precision argument of the schemaless calls.
enum LinePrecision : int {
  line_not_configured = 0,
  line_hours = 1,
  line_minutes = 2,
  line_seconds = 3,
  line_milliseconds = 4,
  line_microseconds = 5,
  line_nanoseconds = 6,
};
/// tmq_conf_set().
enum ConfResult : int { conf_unknown = -2, conf_invalid = -1, conf_ok = 0 };

/// taos_fetch_fields(). `bytes` as declared: VARCHAR(8) 8, NCHAR(4) 4.
struct FieldPlain {
  char name[65];
  std::int8_t type;
  std::int32_t bytes;
};
static_assert(sizeof(FieldPlain) == 72 && offsetof(FieldPlain, type) == 65 && offsetof(FieldPlain, bytes) == 68);

/// taos_fetch_fields_e(): with what a DECIMAL needs.
struct FieldExtended {
  char name[65];
  std::int8_t type;
  std::uint8_t precision;
  std::uint8_t scale;
  std::int32_t bytes;
};
static_assert(sizeof(FieldExtended) == 72 && offsetof(FieldExtended, precision) == 66 &&
              offsetof(FieldExtended, scale) == 67 && offsetof(FieldExtended, bytes) == 68);

/// taos_stmt2_get_fields(). `bytes` as stored: VARCHAR(8) 10, NCHAR(4) 18.
struct FieldAll {
  char name[65];
  std::int8_t type;
  std::uint8_t precision;
  std::uint8_t scale;
  std::int32_t bytes;
  std::uint8_t field_type;  // as StatementField::Bind
};
static_assert(sizeof(FieldAll) == 76 && offsetof(FieldAll, bytes) == 68 && offsetof(FieldAll, field_type) == 72);

struct Stmt2Option {
  std::int64_t request_id;
  bool single_stb_insert;  // interlace mode with both flags; one alone has no effect
  bool single_table_bind_once;
  void (*async_exec)(void*, Res*, int);
  void* user_data;
};
static_assert(sizeof(Stmt2Option) == 32 && offsetof(Stmt2Option, single_stb_insert) == 8 &&
              offsetof(Stmt2Option, single_table_bind_once) == 9 && offsetof(Stmt2Option, async_exec) == 16);

/// A column (or tag) of one table.
struct Stmt2Bind {
  int buffer_type;
  void* buffer;          // fixed types: packed, rows without a value keep their slot; others: values without gaps
  std::int32_t* length;  // [rows] of types of variable length
  char* is_null;         // [rows] 0 value, 1 NULL, 2 not given
  int rows;
};
static_assert(sizeof(Stmt2Bind) == 40 && offsetof(Stmt2Bind, buffer) == 8 && offsetof(Stmt2Bind, length) == 16 &&
              offsetof(Stmt2Bind, is_null) == 24 && offsetof(Stmt2Bind, rows) == 32);

struct Stmt2BindTables {
  int count;
  char** table_names;   // or nullptr
  Stmt2Bind** tags;     // [count], or nullptr
  Stmt2Bind** columns;  // [count]
};
static_assert(sizeof(Stmt2BindTables) == 32 && offsetof(Stmt2BindTables, table_names) == 8 &&
              offsetof(Stmt2BindTables, tags) == 16 && offsetof(Stmt2BindTables, columns) == 24);

struct TopicAssignment {
  std::int32_t vgroup;
  std::int64_t current_offset;
  std::int64_t begin;
  std::int64_t end;
};
static_assert(sizeof(TopicAssignment) == 32 && offsetof(TopicAssignment, current_offset) == 8 &&
              offsetof(TopicAssignment, begin) == 16 && offsetof(TopicAssignment, end) == 24);

struct RawData {
  void* raw;
  std::uint32_t length;
  std::uint16_t type;  // as Message::Raw
};
static_assert(sizeof(RawData) == 16 && offsetof(RawData, length) == 8 && offsetof(RawData, type) == 12);

}  // namespace penstock::client::detail::native
