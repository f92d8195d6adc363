#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "data/schema.h"
#include "schema/catalog.h"

namespace penstock::cli {

/// Which super tables stood on the server when this run first asked for them. Outlives the attempts of a load, for what
/// the first attempt made the second one finds.
using FirstSeen = std::map<std::string, bool, std::less<>>;

/// A catalog that remembers what was there before the load, and with --on-existing fail-if-not-empty refuses super
/// tables that hold rows. That nothing stands under a name is told once more within a second without asking the server:
/// the look at the target is followed by that of the load, and create() tells when somebody else was first. Any thread.
class ExistingTables : public schema::Catalog {
 public:
  /// Whether a super table holds rows.
  using HoldsRows = std::function<bool(const data::SuperTable&)>;
  /// `below` and `seen` outlive this. `holds_rows` empty: all super tables are welcome. `rows_read` tells whether the
  /// load has begun: then a refusal is a limit that was met and not a wrong configuration.
  ExistingTables(schema::Catalog& below, FirstSeen& seen, HoldsRows holds_rows, std::function<bool()> rows_read)
      : below_(below), seen_(seen), holds_rows_(std::move(holds_rows)), rows_read_(std::move(rows_read)) {}

  /// Throws Error(Errc::config), or Errc::limit, for a super table that holds rows when it is first asked for.
  Found describe(std::string_view name) override;
  std::vector<Found> describe_all(std::span<const std::string> names) override;
  bool create(const data::SuperTable& table) override {
    check_frozen();
    known_absent(table.name);
    return below_.create(table);
  }
  std::vector<bool> create_all(std::span<const data::SuperTable* const> tables) override {
    if (frozen_) return Catalog::create_all(tables);
    for (const auto* const table : tables) known_absent(table->name);
    return below_.create_all(tables);
  }
  void add(std::string_view table, Part part, const data::Column& column) override {
    check_frozen();
    below_.add(table, part, column);
  }
  void widen(std::string_view table, Part part, const data::Column& column) override {
    check_frozen();
    below_.widen(table, part, column);
  }
  /// From now on nothing is changed any more: what would be is refused. Not while others use this.
  void freeze() noexcept { frozen_ = true; }
  /// A super table was not there when this run first asked for it.
  [[nodiscard]] bool is_new(std::string_view name) const;

 private:
  void check_frozen() const {
    if (frozen_) throw schema::ChangeRefused("the target is only looked at", 0);
  }

  bool known_absent(std::string_view name);
  Found judged(std::string_view name, Found found);

  schema::Catalog& below_;
  bool frozen_ = false;
  mutable std::mutex mutex_;
  FirstSeen& seen_;                                                                   // guarded by mutex_
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> absent_;  // guarded by mutex_
  HoldsRows holds_rows_;
  std::function<bool()> rows_read_;
};

}  // namespace penstock::cli
