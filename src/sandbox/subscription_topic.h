#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sandbox/select_scan.h"
#include "sandbox/sql_session.h"
#include "sandbox/subscription.h"
#include "sandbox/subscription_log.h"

namespace penstock::sandbox {

/// What CREATE TOPIC says.
struct Topic {
  enum class Kind { query, stable, database };
  std::string name;
  std::string sql;               ///< the whole statement
  std::string session_database;  ///< in which it was made: names without a database are of this one
  Kind kind = Kind::query;
  bool with_meta = false;
  bool only_meta = false;    ///< no rows
  std::int64_t created = 0;  ///< ms
  std::shared_ptr<Database> database;
  std::uint32_t table = 0;        ///< of stable and query: the super or normal table
  std::uint32_t child = 0;        ///< of a query on a child table; else 0
  std::string select;             ///< of query: from SELECT on; of stable: the condition, or empty
  std::string schema;             ///< as ins_topics shows it
  std::vector<std::string> star;  ///< columns that * meant when the topic was made: those added later are not shown
};

/// Reads CREATE TOPIC from behind TOPIC on; `exists_ok`: with IF NOT EXISTS. Checks all but whether the topic exists.
/// Throws RefusalError.
Topic parse_topic(const SessionContext& context, Cursor& in, bool& exists_ok);

/// Changes as a topic shows them. One thread at a time, with the topic's database locked.
class TopicView {
 public:
  TopicView(std::shared_ptr<const Topic> topic, SessionContext context);
  ~TopicView();

  [[nodiscard]] const Topic& topic() const noexcept { return *topic_; }
  /// Adds what the topic shows of these rows, which may be nothing; returns the rows added.
  std::size_t add_rows(const Change::Rows& rows, std::vector<Message::Part>& parts);
  /// The child tables of these that the topic tells of.
  std::vector<const TableImage*> created(const Change& change);
  /// Of any change but rows: its JSON, and its wire::RawType; nullopt: the topic does not show it.
  struct Meta {
    std::string json;
    std::uint16_t type = 0;
  };
  std::optional<Meta> meta(const Change& change);

 private:
  struct Bound;  ///< the query, or the condition of a super table, over the columns of one version of a table
  Bound* bound(const std::shared_ptr<Table>& table);
  bool chosen(const TableImage& image);
  std::size_t add_query_rows(const Change::Rows& rows, std::vector<Message::Part>& parts);

  std::shared_ptr<const Topic> topic_;
  SessionContext context_;
  std::unordered_map<const Table*, std::unique_ptr<Bound>> bound_;
};

}  // namespace penstock::sandbox
