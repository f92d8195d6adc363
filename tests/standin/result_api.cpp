#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "data/types.h"
#include "standin/call.h"
#include "standin/pool.h"
#include "standin/result.h"
#include "standin/taos_abi.h"
#include "wire/bytes.h"
#include "wire/errors.h"

/// What is asked of a result.
namespace penstock::standin {
namespace {

std::shared_ptr<Result> result_of(TAOS_RES* handle) {
  auto result = find<Result>(handle);
  if (!result) fail_parameters();
  return result;
}

/// Runs fetch on a thread of the library and tells `done` the rows, 0 at the end, or the code.
template <class Fetch>
void fetch_async(const char* function, TAOS_RES* handle, taos_async_fn done, void* param, Fetch fetch) {
  if (done == nullptr) return;
  run_on_pool([=] {
    std::shared_ptr<Result> result;
    const int code = value_call(function, full_code(0x0118), [&] {
      result = result_of(handle);
      return 0;
    });
    int rows = code;
    if (result) {
      rows = call(
          function,
          [&](Failure failure) {
            result->set_failure(failure);
            return static_cast<int>(failure.code);
          },
          [&] {
            const auto* const block = fetch(*result);
            return block == nullptr ? 0 : static_cast<int>(block->rows);
          });
      result->call_back(done, param, handle, rows);
      return;
    }
    done(param, handle, rows);
  });
}

template <class Value>
Value load(const void* at) {
  return wire::load<Value>(static_cast<const char*>(at));
}

std::string printed(const void* value, const TAOS_FIELD& field) {
  using data::Type;
  if (value == nullptr) return "NULL";
  char text[512];
  const auto format = [&](auto... args) {
    const int size = std::snprintf(text, sizeof text, args...);
    return std::string(text, static_cast<std::size_t>(size));
  };
  switch (static_cast<Type>(field.type)) {
    case Type::boolean:
    case Type::tinyint: return std::to_string(load<std::int8_t>(value));
    case Type::utinyint: return std::to_string(load<std::uint8_t>(value));
    case Type::smallint: return std::to_string(load<std::int16_t>(value));
    case Type::usmallint: return std::to_string(load<std::uint16_t>(value));
    case Type::integer: return std::to_string(load<std::int32_t>(value));
    case Type::uinteger: return std::to_string(load<std::uint32_t>(value));
    case Type::bigint:
    case Type::timestamp: return std::to_string(load<std::int64_t>(value));
    case Type::ubigint: return std::to_string(load<std::uint64_t>(value));
    case Type::float32: return format("%f", static_cast<double>(load<float>(value)));
    case Type::float64: return format("%f", load<double>(value));
    case Type::decimal64:
    case Type::decimal128: return static_cast<const char*>(value);
    case Type::blob:
    case Type::mediumblob: {
      const auto* const bytes = static_cast<const char*>(value);
      return {bytes, wire::load<std::uint32_t>(bytes - 4)};
    }
    default: {
      const auto* const bytes = static_cast<const char*>(value);
      return {bytes, wire::load<std::uint16_t>(bytes - 2)};
    }
  }
}

int print_row(char* text, std::size_t size, TAOS_ROW row, const TAOS_FIELD* fields, int count) {
  if (text == nullptr || size == 0) return 0;
  *text = '\0';
  if (row == nullptr || fields == nullptr) return 0;
  std::size_t used = 0;
  for (int i = 0; i < count; ++i) {
    auto cell = printed(row[i], fields[i]);
    if (i > 0) cell.insert(0, 1, ' ');
    const auto copied = std::min(cell.size(), size - 1 - used);
    std::memcpy(text + used, cell.data(), copied);
    used += copied;
  }
  text[used] = '\0';
  return static_cast<int>(used);
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

int taos_errno(TAOS_RES* res) {
  if (res == nullptr) return last_failure().code;
  const auto result = find<Result>(res);
  return result ? result->failure().code : full_code(0x0118);
}

const char* taos_errstr(TAOS_RES* res) {
  const auto result = find<Result>(res);
  if (res != nullptr && !result) return "Invalid parameters";
  const auto& failure = result ? result->failure() : last_failure();
  return failure.code == 0 ? "success" : failure.text.c_str();
}

void taos_free_result(TAOS_RES* res) {
  code_call("taos_free_result", [&] {
    const auto result = find<Result>(res);
    if (!result) return;
    if (result->borrowed) {
      note_misuse();
    } else {
      take<Result>(res);
    }
  });
}

void taos_stop_query(TAOS_RES* res) {
  code_call("taos_stop_query", [&] { result_of(res)->stop(); });
}

int taos_field_count(TAOS_RES* res) {
  return value_call("taos_field_count", 0, [&] { return static_cast<int>(result_of(res)->field_count()); });
}

int taos_num_fields(TAOS_RES* res) {
  return value_call("taos_num_fields", 0, [&] { return static_cast<int>(result_of(res)->field_count()); });
}

TAOS_FIELD* taos_fetch_fields(TAOS_RES* res) {
  return pointer_call("taos_fetch_fields", [&] { return result_of(res)->fields(); });
}

TAOS_FIELD_E* taos_fetch_fields_e(TAOS_RES* res) {
  return pointer_call("taos_fetch_fields_e", [&] { return result_of(res)->fields_e(); });
}

int taos_result_precision(TAOS_RES* res) {
  return value_call("taos_result_precision", 0, [&] { return static_cast<int>(result_of(res)->precision()); });
}

int taos_affected_rows(TAOS_RES* res) {
  return value_call("taos_affected_rows", 0, [&] { return static_cast<int>(result_of(res)->affected_rows()); });
}

int64_t taos_affected_rows64(TAOS_RES* res) {
  return value_call("taos_affected_rows64", std::int64_t{0}, [&] { return result_of(res)->affected_rows(); });
}

bool taos_is_update_query(TAOS_RES* res) {
  return value_call("taos_is_update_query", true, [&] {
    const auto result = result_of(res);
    return result->field_count() == 0;
  });
}

TAOS_ROW taos_fetch_row(TAOS_RES* res) {
  const auto result = find<Result>(res);
  return call(
      "taos_fetch_row",
      [&](Failure failure) -> TAOS_ROW {
        if (result && failure.code != full_code(0x0200)) result->set_failure(failure);
        last_failure() = std::move(failure);
        return nullptr;
      },
      [&]() -> TAOS_ROW {
        if (!result) fail_parameters();
        result->refuse_in_callback();
        if (result->field_count() == 0) return nullptr;
        return result->next_row();
      });
}

int* taos_fetch_lengths(TAOS_RES* res) {
  return pointer_call("taos_fetch_lengths", [&] { return result_of(res)->lengths(); });
}

int taos_fetch_block_s(TAOS_RES* res, int* count, TAOS_ROW* rows) {
  if (count != nullptr) *count = 0;
  if (rows != nullptr) *rows = nullptr;
  return code_call("taos_fetch_block_s", [&] {
    const auto result = result_of(res);
    if (count == nullptr || rows == nullptr) fail_parameters();
    result->refuse_in_callback();
    if (result->failure().code == 0 && result->field_count() == 0) return;
    const auto* const block = result->next_block();
    if (block == nullptr) return;
    *count = block->rows;
    *rows = result->columns();
  });
}

int taos_fetch_block(TAOS_RES* res, TAOS_ROW* rows) {
  int count = 0;
  taos_fetch_block_s(res, &count, rows);
  return count;
}

int taos_fetch_raw_block(TAOS_RES* res, int* count, void** data) {
  if (count != nullptr) *count = 0;
  if (data != nullptr) *data = nullptr;
  return code_call("taos_fetch_raw_block", [&] {
    const auto result = result_of(res);
    if (count == nullptr || data == nullptr) fail_parameters();
    result->refuse_in_callback();
    if (result->failure().code == 0 && result->field_count() == 0) return;
    const auto* const block = result->next_raw_block();
    if (block == nullptr) return;
    *count = block->rows;
    *data = const_cast<char*>(block->raw.data());
  });
}

void taos_fetch_rows_a(TAOS_RES* res, taos_async_fn done, void* param) {
  fetch_async("taos_fetch_rows_a", res, done, param, [](Result& result) { return result.next_block(); });
}

void taos_fetch_raw_block_a(TAOS_RES* res, taos_async_fn done, void* param) {
  fetch_async("taos_fetch_raw_block_a", res, done, param, [](Result& result) { return result.next_raw_block(); });
}

const void* taos_get_raw_block(TAOS_RES* res) {
  return pointer_call("taos_get_raw_block", [&]() -> const void* {
    const auto* const block = result_of(res)->raw_block();
    return block == nullptr ? nullptr : block->raw.data();
  });
}

bool taos_is_null(TAOS_RES* res, int32_t row, int32_t column) {
  return value_call("taos_is_null", true, [&] { return result_of(res)->is_null(row, column); });
}

int taos_is_null_by_column(TAOS_RES* res, int column, bool* null, int* rows) {
  return code_call("taos_is_null_by_column", [&] {
    const auto result = result_of(res);
    if (null == nullptr || rows == nullptr || *rows <= 0 || column < 0 ||
        static_cast<std::size_t>(column) >= result->field_count()) {
      fail_parameters();
    }
    const auto* const block = result->raw_block();
    const int have = block == nullptr ? 0 : static_cast<int>(block->rows);
    if (*rows > have) *rows = have;
    for (int r = 0; r < *rows; ++r) null[r] = result->is_null(r, column);
  });
}

int* taos_get_column_data_offset(TAOS_RES* res, int column) {
  return pointer_call("taos_get_column_data_offset", [&] { return result_of(res)->offsets(column); });
}

TAOS_ROW* taos_result_block(TAOS_RES* res) {
  return pointer_call("taos_result_block", [&] { return result_of(res)->current_row(); });
}

int taos_print_row(char* text, TAOS_ROW row, TAOS_FIELD* fields, int count) {
  return print_row(text, std::numeric_limits<std::int32_t>::max(), row, fields, count);
}

int taos_print_row_with_size(char* text, uint32_t size, TAOS_ROW row, TAOS_FIELD* fields, int count) {
  return print_row(text, size, row, fields, count);
}

const char* tmq_err2str(int32_t code) {
  if (code == 0) return "success";
  if (code == -1) return "fail";
  thread_local std::string text;
  text = penstock::wire::error_text(code & 0xFFFF, "");
  return text.c_str();
}
}
