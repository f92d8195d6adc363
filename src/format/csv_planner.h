#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/schema.h"
#include "format/csv_infer.h"
#include "schema/mapping.h"

namespace penstock::format {

/// Makes one plan from a sample and a mapping. The steps of run() stand in the order in which they are taken; those
/// about times are in csv_plan_time.cpp, all others in csv_plan.cpp. Used once.
class CsvPlanner {
 public:
  CsvPlanner(const CsvSample& sample, const schema::CsvMapping& mapping, std::string_view default_table,
             const PlanContext& context);
  /// Throws Error(Errc::config).
  CsvPlan run();

 private:
  void name_columns();
  void find_timestamp();
  void set_roles();
  void set_constant_tags();
  void set_child_name();
  void name_child_by(const std::string& column);
  void change_tags();
  void set_types();
  void set_type_of(std::size_t c, const data::Column* given);
  void note_odd_values(const CsvColumn& column, const TypeSummary& summary);
  void check_key_columns();
  void set_times();
  void set_zone();
  void warn();

  /// Index of the column that a mapping means; `where` is the mapping's key, for the message. Throws when there is
  /// none.
  [[nodiscard]] std::size_t find(std::string_view text, std::string_view where) const;
  [[nodiscard]] std::optional<std::size_t> look_for(std::string_view text) const;
  /// Whether at least `percent` of the values of a column are times.
  [[nodiscard]] bool holds_times(std::size_t c, unsigned percent = 90) const;
  [[nodiscard]] bool holds_clocks(std::size_t c) const;
  void find_clock();
  bool find_joined_by_pattern();
  [[nodiscard]] std::string pattern_of(std::size_t c) const;
  bool join_clock(std::size_t c);
  [[noreturn]] void fail_without_timestamp() const;
  [[nodiscard]] const data::Column* existing_column(const CsvColumn& column) const;
  /// What is known of a column's values: of all sources of the table, or the sample's.
  [[nodiscard]] const TypeSummary& summary_of(std::size_t c) const;
  /// How a column writes its times, and the digits of a second that it needs.
  [[nodiscard]] std::pair<TimeFormat, int> time_format(std::size_t c) const;

  const CsvSample& sample_;
  const schema::CsvMapping& mapping_;
  const PlanContext context_;
  const data::SuperTable* target_;
  CsvPlan plan_;
  std::string pattern_;  ///< of the timestamp, when it was found by how its values are written
};

}  // namespace penstock::format
