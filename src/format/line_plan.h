#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/row_set.h"
#include "data/types.h"
#include "format/line_scan.h"
#include "format/number.h"
#include "schema/registry.h"

/// What LineParser expects of the next line: the fields of an earlier one, prepared for comparison.
namespace penstock::format {

struct LineWidePlan;

/// How the value of a predicted field is read without the general scanner.
enum class LineKind : std::uint8_t { signed_integer, unsigned_integer, float64, boolean, text, nchar, other };

/// Key and type of one field. The key's bytes, up to and with its '=', are compared in three masked words.
struct LineFieldPlan {
  std::uint64_t key[3] = {};
  std::uint64_t mask[3] = {};
  std::uint32_t key_bytes = 0;
  std::uint32_t suffix = 0;
  std::uint32_t suffix_mask = 0;
  std::uint8_t suffix_bytes = 0;
  LineKind kind = LineKind::other;
  data::Type type = data::Type::null;
  std::int64_t least = 0;  ///< integers
  std::int64_t most = 0;
  const char* long_key = nullptr;  ///< keys of more than 24 bytes are compared here

  /// `p` points into padded text of which `left` bytes remain.
  [[nodiscard]] bool matches(const char* p, std::ptrdiff_t left) const noexcept {
    if (long_key != nullptr) [[unlikely]]
      return left >= static_cast<std::ptrdiff_t>(key_bytes) && std::memcmp(p, long_key, key_bytes) == 0;
    return (((load8(p) ^ key[0]) & mask[0]) | ((load8(p + 8) ^ key[1]) & mask[1]) |
            ((load8(p + 16) ^ key[2]) & mask[2])) == 0;
  }
};

/// The fields of some lines of one super table: same keys, same types. Lines that give them in another order (agents
/// that walk a hash table do) use the plan of the first order met, so that they do not make a shape each.
struct LinePlan {
  data::SuperTableRef* table = nullptr;
  std::vector<LineFieldPlan> fields;
  std::vector<data::Field> names;     ///< views into `signature`
  std::string signature;              ///< table, names and types in this order
  std::string sorted_signature;       ///< the same, sorted by name
  std::vector<std::uint16_t> sorted;  ///< fields by name
  std::string spelling;               ///< keys as in the text
  std::size_t row_bytes = 0;
  bool duplicate = false;  ///< a key stands twice, or is the timestamp column's name: every line is refused
  bool has_text = false;
  std::unique_ptr<LineWidePlan> wide;  ///< line_wide.h; nullptr: not tried yet, or of no use
  bool wide_tried = false;

  // Of the RowSet being filled:
  std::uint64_t epoch = 0;
  std::uint32_t shape = 0;
  std::uint32_t rows = 0;
  std::vector<std::uint32_t> longest;

  /// Of the line being read in another order or with fewer fields: bit f % 64 of word f / 64, the field was met.
  std::vector<std::uint64_t> seen;

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  /// The field whose key stands at `p` in padded text, or kNone.
  [[nodiscard]] std::size_t find(const char* p, std::ptrdiff_t left) const noexcept;

  /// The plan whose fields are those of `set` (a bit each), in this plan's order: that of lines which lack the others.
  /// nullptr: not known. Only with up to 64 fields.
  [[nodiscard]] LinePlan* part(std::uint64_t set) const noexcept;
  /// Remembers `plan` where it is such a part, and counts it in `added` where it is new. False: it is none.
  bool add_part(LinePlan& plan, std::size_t& added);

  /// Writes table, names and types of the fields, in the order of `order` or, where that is empty, their own.
  static void signature_of(const data::SuperTableRef& table, const std::vector<LineField>& fields,
                           const std::vector<std::uint16_t>& order, std::string& out);
  /// `sorted_fields`: the fields by name.
  LinePlan(data::SuperTableRef* of, const std::vector<LineField>& from, std::vector<std::uint16_t> sorted_fields,
           std::string_view timestamp_name);
  ~LinePlan();

 private:
  struct Part {
    std::uint64_t set = 0;
    LinePlan* plan = nullptr;
  };
  static void put(std::vector<Part>& parts, Part part) noexcept;

  std::vector<std::uint16_t> slots_;  // open addressing by key_hash(), index + 1
  std::vector<Part> parts_;           // open addressing by `set`
  std::size_t part_count_ = 0;
};

}  // namespace penstock::format
