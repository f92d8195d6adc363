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

}  // namespace penstock::schema
