#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sandbox/engine.h"
#include "sandbox/stmt1_session.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/handle.h"
#include "standin/result.h"
#include "standin/taos_abi.h"

namespace penstock::standin {

/// A prepared statement of the second generation with the traps of the real one: a failure sticks until prepare(), an
/// ALTER by somebody else kills statements in interlace mode, one execution is under way at a time. Calls come from one
/// thread, the worker of an asynchronous bind or execution works while they wait. Functions throw FailureError.
class Stmt2 final : public Handle {
 public:
  Stmt2(std::shared_ptr<Connection> connection, const TAOS_STMT2_OPTION* option);
  ~Stmt2() override;

  void prepare(std::string sql);
  [[nodiscard]] bool is_insert();
  /// Of an insert, in the order of its placeholders; of a query only `count` is set.
  std::vector<sandbox::PreparedField> get_fields(int& count);
  void bind(const TAOS_STMT2_BINDV& bindv, std::int32_t column);
  /// On a worker; `done` gets the code. The caller keeps `self` alive until then.
  void bind_async(const std::shared_ptr<Stmt2>& self, const TAOS_STMT2_BINDV* bindv, std::int32_t column,
                  taos_async_fn done, void* param);
  /// Affected rows; nullopt when it was begun asynchronously.
  std::optional<int> execute(const std::shared_ptr<Stmt2>& self);
  /// Of the last execution of a query; belongs to the statement.
  TAOS_RES* result();
  /// Waits for what is under way, gives back the result.
  void close();

  /// Keeps the failure for error_text() and throws it on.
  template <class Work>
  auto remember(Work work) {
    try {
      keep_failure({});
      return work();
    } catch (...) {
      keep_failure(current_failure());
      throw;
    }
  }
  [[nodiscard]] std::string error_text();
  [[nodiscard]] const std::shared_ptr<Connection>& connection() const noexcept { return connection_; }

 private:
  struct Table {
    std::string name;
    std::vector<sandbox::Value> tags;
    std::vector<sandbox::BoundColumn> columns;
  };

  enum class Busy { none, bind, execution };

  void keep_failure(Failure failure);
  /// Waits for an execution; while a bind is under way nothing else may be asked of the statement (0x022A).
  void wait_until_idle();
  void begin_work(Busy work);
  void end_work();
  void throw_if_failed() const;
  /// Runs the work; its failure sticks.
  template <class Work>
  void sticky(Work work);
  void parse();
  void bind_tables(const TAOS_STMT2_BINDV& bindv, std::int32_t column);
  Table bound_table(const TAOS_STMT2_BINDV& bindv, int index, std::int32_t column);
  void bind_one_column(const TAOS_STMT2_BIND& bind, std::int32_t column, Table table);
  void bind_query(const TAOS_STMT2_BINDV& bindv, std::int32_t column);
  void take(std::vector<Table> tables);
  static std::vector<sandbox::ColumnarTable> views(std::span<const Table> tables);
  /// check_columns() or insert_columns() by `work`, with the old schema after an ALTER, as the server takes column
  /// data.
  template <class Work>
  auto with_old_schema(Work work);
  /// Of tables bound more than once: whose tags a new table gets, and whether a later NULL removes an earlier value.
  void merge_as_mode_says();
  void keep_values_from_null(const std::vector<std::size_t>& places);
  std::int64_t run();
  void run_async(const std::shared_ptr<Stmt2>& self);
  void drop_result();

  const std::shared_ptr<Connection> connection_;
  const bool interlace_;
  const taos_async_fn async_exec_;
  void* const userdata_;
  const std::unique_ptr<sandbox::Session> session_;

  std::mutex mutex_;
  std::condition_variable idle_;
  Busy working_ = Busy::none;  ///< guarded by mutex_
  Failure last_failure_;       ///< guarded by mutex_

  bool has_sql_ = false;
  std::string sql_;  ///< with a list of columns once ALTER made one necessary
  bool is_insert_ = false;
  std::shared_ptr<sandbox::Prepared> prepared_;
  std::vector<sandbox::PreparedField> fields_;
  std::vector<sandbox::PreparedField> column_fields_;
  std::vector<sandbox::PreparedField> tag_fields_;
  std::size_t column_count_ = 0;  ///< placeholders of columns, or parameters
  bool named_ = false;
  std::optional<Failure> failed_;
  std::optional<Failure> at_exec_;  ///< what the interlace mode finds out only then
  bool dead_ = false;
  std::optional<std::uint64_t> stale_since_;  ///< cache resets when an asynchronous execution met an old schema
  bool bound_ = false;
  std::vector<Table> tables_;
  std::optional<Table> open_table_;  ///< bound column by column
  std::vector<sandbox::Value> parameters_;
  std::shared_ptr<Result> result_;
  void* result_handle_ = nullptr;
};

}  // namespace penstock::standin
