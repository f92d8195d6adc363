#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/row_set.h"
#include "data/schema.h"
#include "schema/catalog.h"
#include "schema/registry.h"

namespace penstock::schema {

inline constexpr std::uint16_t kNoSlot = 0xFFFF;

/// What a load binds of a super table: an immutable snapshot, shared with the lanes. Columns and tags keep their index
/// from version to version; new ones come behind.
struct TableVersion {
  data::SuperTableRef* ref = nullptr;
  std::uint32_t number = 0;               ///< grows with every change that makes prepared statements stale
  std::vector<data::Column> columns;      ///< bound columns; [0] is the timestamp
  std::vector<data::Column> tags;         ///< bound tags
  std::vector<std::uint16_t> tag_keys;    ///< [tags] Registry::tag_key() of each
  std::uint16_t composite_key = kNoSlot;  ///< index in `columns` of the second key column, if the table has one
};

}  // namespace penstock::schema

namespace penstock::data {

/// The columns behind the slots of a shape, the same object for equal shapes of all chunks. Lives as long as Growth.
struct ResolvedShape {
  schema::TableState* table = nullptr;
  bool nullable = false;
  std::vector<std::uint16_t> columns;  ///< [slots] index in TableVersion::columns, from 1
  std::vector<std::uint16_t> slots;    ///< [columns] slot or kNoSlot; columns added later lie beyond its end
  [[nodiscard]] std::uint16_t slot_of(std::size_t column) const noexcept {
    return column < slots.size() ? slots[column] : schema::kNoSlot;
  }
};

}  // namespace penstock::data

namespace penstock::schema {

/// State of one super table in the schema stage; lanes read only current().
struct TableState {
  data::SuperTableRef* ref = nullptr;
  data::SuperTable on_server;  ///< as described last
  bool exists = false;
  data::Reason refused;         ///< not empty: no row of this table can be written
  data::Reason change_refused;  ///< not empty: why the server does not change it as the present chunk needs
  std::shared_ptr<const TableVersion> version;
  std::vector<std::uint16_t> bound_tags;  ///< [tag keys] index in version->tags or kNoSlot; shorter: none
  /// The layout of tags that was looked at last, and how long their values may be under `version`; empty: that depends
  /// on more than their length.
  const data::TagLayout* last_layout = nullptr;
  std::vector<std::uint32_t> last_widths;
  std::unordered_map<std::string, std::unique_ptr<data::ResolvedShape>> shapes;  // by columns, as bytes
};

/// The serial schema stage: decides, in input order, which tables, columns, tags and widths the load needs, changes
/// them on the server, and refuses the rows that cannot fit. One thread.
class Growth {
 public:
  struct Options {
    /// Of new super tables, and of those that rows of undeclared tables may be written to: the server's schemaless
    /// insert refuses a table whose timestamp has another name, and one with a composite key. Declared tables (CSV) are
    /// taken as they are.
    std::string timestamp_name = "_ts";
    std::string default_tag = "_tag_null";  ///< for super tables without tags
    /// Off: a child table whose name holds a dot is refused, because a bound name is read as database.table.
    bool dots_in_child_names = false;
    /// Values of another type than their column are converted where nothing is lost (schema/coerce.h); off: their rows
    /// are refused. Rows of declared tables, which have no types of their own, are always converted.
    bool coerce = false;
    /// Told each statement that changed the schema, for the log and the report.
    std::function<void(const std::string& statement)> on_change = {};
  };
  Growth(Catalog& catalog, Registry& registry, Options options);
  ~Growth();

  /// Admits the rows of a chunk: creates and alters what they need, resolves their shapes, refuses what does not fit
  /// (with a Reject each): row by row in input order where a limit of TDengine is met. Chunks must come in input order.
  /// Throws Error when the server cannot be asked or changed.
  void admit(data::RowSet& rows);

  /// What speaks against the rows as a whole, nothing if all of them fit; looks and changes nothing. For a caller that
  /// takes all rows or none. Throws as admit().
  std::optional<data::Reason> objection(data::RowSet& rows);

  /// Super tables the load has touched, in order of first appearance.
  [[nodiscard]] const std::deque<TableState>& tables() const { return tables_; }

 private:
  struct Plan;
  /// What becomes of the rows of a chunk.
  struct Verdict {
    std::vector<data::Reason> refused;           ///< [shapes] not empty: all rows of the shape are refused
    std::vector<std::uint32_t> rows;             ///< [shapes] rows that fit
    std::unordered_set<const data::Row*> unfit;  ///< rows whose tags do not
  };
  /// The tables of the rows, in order of first appearance; those met for the first time are looked up.
  std::vector<TableState*> tables_of(data::RowSet& rows);
  void look_up(TableState& state);
  void take_found(TableState& state, Catalog::Found found);
  /// Whether something fits; `beyond`: not within a limit, so that other rows of the same shape may.
  enum class Fit : std::uint8_t { yes, no, beyond };
  enum class Commit : bool { no, yes };
  void create_together(std::vector<TableState*>& states, data::RowSet& rows, Verdict& verdict);
  void admit_table(TableState& state, data::RowSet& rows, Verdict& verdict);
  Plan begin_plan(const TableState& state) const;
  Plan make_plan(TableState& state, data::RowSet& rows, Verdict& verdict, bool whole_shapes);
  bool plan_shapes(TableState& state, data::RowSet& rows, Plan& plan, Verdict& verdict, bool whole_shapes);
  void plan_rows(TableState& state, data::RowSet& rows, Plan& plan, Verdict& verdict);
  void convert(std::uint32_t shape, data::RowSet& rows, const Plan& plan, Verdict& verdict);
  Fit plan_columns(const data::Shape& shape, std::span<const std::uint32_t> lengths, Plan& plan,
                   data::Reason& why) const;
  Fit plan_tags(const data::Series& series, Plan& plan, data::Reason& why, Commit commit = Commit::yes) const;
  static void note_planned(Plan& plan, const data::TagLayout* layout, const std::vector<data::Column>* declared);
  bool settled(TableState& state, const data::Series& series) const;
  void learn_widths(TableState& state, const data::TagLayout& layout) const;
  bool converts(const data::SuperTableRef& table) const noexcept {
    return options_.coerce || table.declared != nullptr;
  }
  bool unbindable(const data::ChildTable& child) const noexcept {
    return !child.name.is_digest() && (child.name.empty() || child.name.size() > data::Limits::table_name ||
                                       (!options_.dots_in_child_names && child.name.contains('.')));
  }
  bool apply(TableState& state, const Plan& plan);
  /// True: what stands on the server now is what the plan says.
  bool change(const TableState& state, const Plan& plan);
  void tell(const std::string& statement) const;
  void renew_version(TableState& state, const Plan& plan);
  const data::ResolvedShape* resolve(TableState& state, const data::Shape& shape) const;

  Catalog& catalog_;
  Registry& registry_;
  Options options_;
  std::deque<TableState> tables_;
};

}  // namespace penstock::schema
