#include "standin/result.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sandbox/result_block.h"
#include "wire/block.h"

namespace penstock::standin {
namespace {

using data::Type;

bool is_decimal(Type type) noexcept { return type == Type::decimal64 || type == Type::decimal128; }

template <class Field>
Field field_of(const sandbox::ResultField& from) {
  Field field{};
  const auto size = std::min(from.name.size(), sizeof field.name - 1);
  std::memcpy(field.name, from.name.data(), size);
  field.type = static_cast<std::int8_t>(from.type);
  field.bytes = from.length;
  return field;
}

/// The result in whose callback this thread is.
thread_local const Result* calling_back = nullptr;

}  // namespace

Result::Result(std::shared_ptr<Connection> connection, sandbox::Answer answer)
    : connection_(std::move(connection)),
      is_update_(answer.is_update),
      affected_rows_(answer.affected_rows),
      answer_(std::move(answer)) {
  if (!is_update_) set_fields(answer_.fields, answer_.precision);
}

void Result::set_fields(const std::vector<sandbox::ResultField>& fields, data::Precision precision) {
  result_fields_ = fields;
  precision_ = static_cast<std::int32_t>(precision);
  plain_fields_.clear();
  fields_.clear();
  for (const auto& field : fields) {
    plain_fields_.push_back(field_of<TAOS_FIELD>(field));
    fields_.push_back(field_of<TAOS_FIELD_E>(field));
    fields_.back().precision = field.precision;
    fields_.back().scale = field.scale;
  }
}

std::optional<ResultBlock> Result::load_block() {
  const auto rows = std::min(sandbox::kBlockRows, answer_.rows.size() - next_answer_row_);
  if (rows == 0) return std::nullopt;
  ResultBlock block{sandbox::result_block(answer_, next_answer_row_, rows), static_cast<std::int32_t>(rows)};
  next_answer_row_ += rows;
  return block;
}

const ResultBlock* Result::next_raw_block() {
  if (failure_.code != 0) throw FailureError(failure_);
  if (stopped_) fail(0x022D, "Query killed");
  if (connection_) connection_->check_alive();
  columns_ready_ = false;
  next_row_ = 0;
  block_ = load_block();
  return raw_block();
}

const ResultBlock* Result::next_block() {
  if (next_raw_block() != nullptr) read_columns();
  return raw_block();
}

void Result::read_columns() {
  const auto block = wire::Block::decode(block_->raw);
  const auto rows = block.rows();
  columns_.assign(block.columns(), {});
  column_pointers_.assign(block.columns(), nullptr);
  for (std::uint32_t c = 0; c < block.columns(); ++c) {
    auto& column = columns_[c];
    const auto type = block.type(c);
    column.variable = data::is_variable(type);
    column.null.resize(rows);
    for (std::uint32_t r = 0; r < rows; ++r) column.null[r] = block.is_null(r, c);
    if (is_decimal(type)) {
      column.size = kDecimalText;
      column.area.assign(std::size_t{rows} * kDecimalText, '\0');
      for (std::uint32_t r = 0; r < rows; ++r) {
        if (column.null[r]) continue;
        const auto text = block.text(r, c);
        std::memcpy(column.area.data() + std::size_t{r} * kDecimalText, text.data(),
                    std::min<std::size_t>(text.size(), kDecimalText - 1));
      }
    } else if (!column.variable) {
      column.size = static_cast<int>(data::fixed_size(type));
      column_pointers_[c] = const_cast<char*>(block.values(c));
      continue;
    } else {
      column.prefix = type == Type::blob || type == Type::mediumblob ? 4 : 2;
      for (std::uint32_t r = 0; r < rows; ++r) {
        column.offsets.push_back(column.null[r] ? -1 : static_cast<int>(column.area.size()));
        if (column.null[r]) continue;
        const auto text =
            type == Type::nchar ? wire::utf8_from_ucs4(block.bytes(r, c)) : std::string(block.bytes(r, c));
        const auto length = static_cast<std::uint32_t>(text.size());
        column.area.append(reinterpret_cast<const char*>(&length), static_cast<std::size_t>(column.prefix));
        column.area += text;
      }
    }
    column_pointers_[c] = column.area.data();
  }
  columns_ready_ = true;
}

void Result::call_back(taos_async_fn done, void* param, void* handle, int code) {
  const auto* const outer = std::exchange(calling_back, this);
  done(param, handle, code);
  calling_back = outer;
}

void Result::refuse_in_callback() const {
  if (calling_back == this) fail(0x0200, "Invalid operation");
}

int* Result::offsets(int column) noexcept {
  if (column < 0 || static_cast<std::size_t>(column) >= columns_.size()) return nullptr;
  auto& one = columns_[static_cast<std::size_t>(column)];
  return one.variable ? one.offsets.data() : nullptr;
}

bool Result::is_null(int row, int column) {
  if (block_ && !columns_ready_) read_columns();
  if (column < 0 || static_cast<std::size_t>(column) >= columns_.size()) return true;
  const auto& null = columns_[static_cast<std::size_t>(column)].null;
  return row < 0 || static_cast<std::size_t>(row) >= null.size() || null[static_cast<std::size_t>(row)];
}

TAOS_ROW Result::next_row() {
  row_ = nullptr;
  if (!block_ || next_row_ >= block_->rows) {
    if (next_block() == nullptr) return nullptr;
  } else if (!columns_ready_) {
    read_columns();  // a block that was fetched raw
  }
  const auto r = static_cast<std::size_t>(next_row_++);
  row_pointers_.assign(columns_.size(), nullptr);
  lengths_.assign(columns_.size(), 0);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const auto& column = columns_[c];
    if (column.null[r]) continue;
    auto* const base = static_cast<char*>(column_pointers_[c]);
    if (!column.variable) {
      row_pointers_[c] = base + r * static_cast<std::size_t>(column.size);
      lengths_[c] = column.size;
      continue;
    }
    char* const value = base + column.offsets[r];
    std::uint32_t length = 0;
    std::memcpy(&length, value, static_cast<std::size_t>(column.prefix));
    row_pointers_[c] = value + column.prefix;
    lengths_[c] = static_cast<int>(length);
  }
  row_ = row_pointers_.data();
  return row_;
}

}  // namespace penstock::standin
