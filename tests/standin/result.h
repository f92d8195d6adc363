#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/engine.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/handle.h"
#include "standin/taos_abi.h"

namespace penstock::standin {

/// A raw block and what it takes to read it.
struct ResultBlock {
  std::string raw;
  std::int32_t rows = 0;
};

/// What a TAOS_RES stands for: the answer to a request, or a message of a subscription. One thread at a time, but for
/// stop().
class Result : public Handle {
 public:
  /// A request that was refused.
  explicit Result(Failure failure) : failure_(std::move(failure)) {}
  explicit Result(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  Result(std::shared_ptr<Connection> connection, sandbox::Answer answer);

  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  void set_failure(Failure failure) { failure_ = std::move(failure); }
  [[nodiscard]] bool is_update() const noexcept { return is_update_; }
  [[nodiscard]] std::int64_t affected_rows() const noexcept { return affected_rows_; }
  void set_affected_rows(std::int64_t rows) noexcept { affected_rows_ = rows; }
  [[nodiscard]] std::int32_t precision() const noexcept { return precision_; }
  [[nodiscard]] std::size_t field_count() const noexcept { return fields_.size(); }
  [[nodiscard]] TAOS_FIELD* fields() noexcept { return plain_fields_.empty() ? nullptr : plain_fields_.data(); }
  [[nodiscard]] TAOS_FIELD_E* fields_e() noexcept { return fields_.empty() ? nullptr : fields_.data(); }

  /// Moves to the next block; nullptr at the end. Throws FailureError when the connection was lost or the query
  /// stopped.
  const ResultBlock* next_raw_block();
  [[nodiscard]] const ResultBlock* raw_block() const noexcept { return block_ ? &*block_ : nullptr; }
  /// As next_raw_block(), its columns ready to be read by columns() and is_null().
  const ResultBlock* next_block();
  /// [field_count()]: packed values of fixed types, else the area that offsets() speak of.
  TAOS_ROW columns() noexcept { return column_pointers_.data(); }
  /// nullptr for columns of fixed types.
  int* offsets(int column) noexcept;
  /// NULL also for rows and columns that do not exist.
  [[nodiscard]] bool is_null(int row, int column);
  /// The next row, across blocks; nullptr at the end. Throws as next_raw_block().
  TAOS_ROW next_row();
  /// The row that next_row() gave last.
  TAOS_ROW* current_row() noexcept { return &row_; }
  [[nodiscard]] int* lengths() noexcept { return lengths_.data(); }

  void stop() noexcept { stopped_ = true; }
  /// Calls done(param, handle, code) as a callback of this result: fetching in it without another callback is refused.
  void call_back(taos_async_fn done, void* param, void* handle, int code);
  /// Throws FailureError in such a callback.
  void refuse_in_callback() const;
  /// Belongs to a statement: taos_free_result() leaves it alone.
  std::atomic<bool> borrowed{false};

 protected:
  /// The block behind the one before; nullopt at the end.
  virtual std::optional<ResultBlock> load_block();
  void set_fields(const std::vector<sandbox::ResultField>& fields, data::Precision precision);
  std::vector<sandbox::ResultField> result_fields_;
  const std::shared_ptr<Connection> connection_;

 private:
  struct Column {
    bool variable = false;
    bool in_block = false;  ///< its values are read from the block
    int size = 0;           ///< of a fixed value
    int prefix = 0;         ///< bytes of the length before a variable value
    std::string area;       ///< values in another form than in the block: variable ones, DECIMAL as text
    std::vector<int> offsets;
    std::vector<bool> null;
  };
  void read_columns();

  Failure failure_;
  bool is_update_ = false;
  std::int64_t affected_rows_ = 0;
  std::int32_t precision_ = 0;
  sandbox::Answer answer_;
  std::size_t next_answer_row_ = 0;
  std::vector<TAOS_FIELD> plain_fields_;
  std::vector<TAOS_FIELD_E> fields_;
  std::optional<ResultBlock> block_;
  std::vector<Column> columns_;
  std::vector<void*> column_pointers_;
  std::int32_t next_row_ = 0;
  bool columns_ready_ = false;
  std::vector<void*> row_pointers_;
  std::vector<int> lengths_;
  TAOS_ROW row_ = nullptr;
  std::atomic<bool> stopped_{false};
};

/// Bytes that taos_fetch_row() gives for a DECIMAL: its text and zeros.
inline constexpr int kDecimalText = 64;

}  // namespace penstock::standin
