#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "schema/growth.h"

/// Inside of Growth only.
namespace penstock::schema {

// What the server answers for the name of a table that is no super table.
inline constexpr std::uint16_t kTableExists = 0x0603;
inline constexpr std::uint16_t kInvalidMessage = 0x0115;

/// The schema that a chunk needs of one super table, worked out before anything is changed.
struct Growth::Plan {
  data::SuperTable next;          // what must stand on the server
  std::size_t known_columns = 0;  // columns and tags of `next` that stand there already
  std::size_t known_tags = 0;
  std::vector<std::string> used_columns;  // what the chunk's rows give, in order of first appearance
  std::vector<std::string> used_tags;
  bool changed = false;
  data::Reason frozen;  // not empty: the server refuses to change the table, and why

  static bool uses(const std::vector<std::string>& used, std::string_view name) {
    return std::find(used.begin(), used.end(), name) != used.end();
  }
  static void use(std::vector<std::string>& used, std::string_view name) {
    if (!uses(used, name)) used.emplace_back(name);
  }
};

}  // namespace penstock::schema
