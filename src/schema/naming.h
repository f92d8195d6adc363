#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/registry.h"

namespace penstock::schema {

/// How names are made from text; the settings of the server's client that change its schemaless insert.
struct NamingRules {
  bool dot_to_underscore = true;          ///< smlDot2Underline
  std::string timestamp_name = "_ts";     ///< smlTsDefaultName
  std::string default_tag = "_tag_null";  ///< smlTagName: stands in where a series has no tags
  std::string child_table_tag;            ///< smlChildTableName: this tag is the child table's name, and is removed
  std::string child_table_delimiter;      ///< smlAutoChildTableNameDelimiter: all tag values joined
  std::string table_name_key;  ///< the call's tbnameKey: this tag is the name, removed; the two above are ignored

  /// Ours, not the server's: tags that are left out, and tags that become columns of the rows (NCHAR where the text has
  /// no types). Neither is part of the child table's identity; all rules above see the other tags only.
  std::vector<std::string> drop_tags;
  std::vector<std::string> tags_as_columns;

  enum class TagUse : std::uint8_t { tag, column, drop };
  [[nodiscard]] bool uses_all_tags() const noexcept { return drop_tags.empty() && tags_as_columns.empty(); }
  [[nodiscard]] TagUse use_of(std::string_view key) const noexcept;
};

/// Name of the super table of an (unescaped) measurement or metric. Empty when the text begins with a NUL.
std::string super_table_name(std::string_view measurement, const NamingRules& rules);

/// Name of the child table. `hashed_measurement` is the measurement as the hash takes it: raw, with its escapes.
/// Removes a tag from `tags` where the rules say so. Rules: explicit key, joined values, child table tag, MD5 name
/// "t_" + 32 hexadecimal digits over the measurement and the tags sorted by key without regard to case.
std::string child_table_name(std::string_view hashed_measurement, std::vector<NewSeries::Tag>& tags,
                             const NamingRules& rules);

/// Names of the child tables of series with one measurement and the same keys in the same order: where these stand in
/// the hashed text is worked out once. One thread at a time.
class SimilarNames {
 public:
  /// Whether `rules` name child tables by MD5 whatever their tags are.
  [[nodiscard]] static bool apply(const NamingRules& rules) noexcept {
    return rules.table_name_key.empty() && rules.child_table_delimiter.empty() && rules.child_table_tag.empty();
  }
  /// Arguments as of child_table_name(); the values do not matter.
  SimilarNames(std::string_view hashed_measurement, const std::vector<NewSeries::Tag>& tags, const NamingRules& rules);
  /// The name for these values, in the order of the tags.
  [[nodiscard]] data::TableName of(const std::string_view* values);

 private:
  struct Part {
    std::string lead;  ///< ",key=", of the first one the measurement before it
    std::size_t value = 0;
  };
  std::vector<Part> parts_;
  std::string image_;  // scratch; no tags: the measurement
};

}  // namespace penstock::schema
