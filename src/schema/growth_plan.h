#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/growth.h"

/// Inside of Growth only.
namespace penstock::schema {

// What the server answers for the name of a table that is no super table.
inline constexpr std::uint16_t kTableExists = 0x0603;
inline constexpr std::uint16_t kInvalidMessage = 0x0115;

inline std::string_view name_of(const data::Column& column) noexcept { return column.name; }
inline std::string_view name_of(const std::string& name) noexcept { return name; }

/// Index of a name in a list of different names. The one behind the last found is tried first: lists of thousands of
/// columns are gone through in the same order again and again.
template <class List>
std::optional<std::size_t> find_near(const List& list, std::string_view name, std::size_t& hint) {
  if (hint >= list.size() || name_of(list[hint]) != name) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto& item) { return name_of(item) == name; });
    if (found == list.end()) return std::nullopt;
    hint = static_cast<std::size_t>(found - list.begin());
  }
  return hint++;
}

/// The schema that a chunk needs of one super table, worked out before anything is changed.
struct Growth::Plan {
  data::SuperTable next;          // what must stand on the server
  std::size_t known_columns = 0;  // columns and tags of `next` that stand there already
  std::size_t known_tags = 0;
  std::vector<std::string> used_columns;  // what the chunk's rows give, in order of first appearance
  std::vector<std::string> used_tags;
  bool changed = false;
  // Tags of this layout, of at most these lengths, were planned.
  const data::TagLayout* planned_layout = nullptr;
  std::vector<std::uint32_t> planned_lengths;
  data::Reason frozen;  // not empty: the server refuses to change the table, and why

  static bool uses(const std::vector<std::string>& used, std::string_view name) {
    return std::find(used.begin(), used.end(), name) != used.end();
  }
  static void use(std::vector<std::string>& used, std::string_view name, std::size_t& hint) {
    if (!find_near(used, name, hint)) used.emplace_back(name);
  }
};

}  // namespace penstock::schema
