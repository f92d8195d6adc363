#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"

namespace penstock::sandbox {

/// The statements of one connection (stmt2_init … stmt2_close): a state machine that refuses what the real
/// adapter 3.3.7.5 crashes on. One thread at a time. Every function throws RefusalError.
class Stmt2Session {
 public:
  Stmt2Session();
  ~Stmt2Session();

  /// Ids begin at 1.
  std::uint64_t init();
  /// A statement with an id of the caller's, who numbers statements of both generations.
  void open(std::uint64_t id);
  [[nodiscard]] bool contains(std::uint64_t id) const { return statements_.contains(id); }
  struct Preparation {
    bool is_insert = false;
    std::vector<PreparedField> fields;  ///< inserts with `get_fields`
    std::size_t fields_count = 0;       ///< 0 without `get_fields`; of queries the number of placeholders
  };
  Preparation prepare(Session& session, std::uint64_t id, const std::string& sql, bool get_fields);
  /// `message`: the whole stmt2_bind message (action 9). Kept until exec; nothing is stored before.
  void bind(Session& session, std::uint64_t id, std::string&& message);
  /// Stores what was bound since the last exec, or runs the query. Affected rows.
  std::int64_t execute(Session& session, std::uint64_t id);
  /// `message`: the whole stmt2_bind_exec message (action 11), bound and stored or run in one. What was bound before is
  /// forgotten. Affected rows.
  std::int64_t bind_execute(Session& session, std::uint64_t id, std::string&& message);
  /// The result of the last exec of a query; once for each exec.
  Answer take_result(std::uint64_t id);
  /// Unknown ids are fine.
  void close(std::uint64_t id);

 private:
  struct Statement;
  Statement& find(std::uint64_t id);

  std::map<std::uint64_t, std::unique_ptr<Statement>> statements_;
  std::uint64_t last_id_ = 0;
};

}  // namespace penstock::sandbox
