#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/schema.h"

namespace penstock::schema {

/// What exists on the server, and how it is changed. Called by the schema stage only, on a connection of its own.
/// Every call may throw Error; a lost connection is mended inside.
class Catalog {
 public:
  virtual ~Catalog() = default;

  enum class Kind {
    none,
    super_table,
    other_table,  ///< a normal table
    child_table,
  };
  struct Found {
    Kind kind = Kind::none;
    data::SuperTable table;  ///< when it is a super table
  };
  /// What stands under that name now (never from a cache).
  virtual Found describe(std::string_view name) = 0;
  /// Creates it unless it exists; the caller describes it again, for another loader may have been first.
  virtual void create(const data::SuperTable& table) = 0;

  enum class Part { column, tag };
  /// Losing a race (exists already, wide enough already) is no error; the caller describes again.
  virtual void add(std::string_view table, Part part, const data::Column& column) = 0;
  virtual void widen(std::string_view table, Part part, const data::Column& column) = 0;
};

}  // namespace penstock::schema
