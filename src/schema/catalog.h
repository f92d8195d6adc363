#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/schema.h"

namespace penstock::schema {

/// The server refuses a change of the schema for its content (a limit, a name, a conflict): rows that need it cannot be
/// written, others can.
class ChangeRefused : public Error {
 public:
  ChangeRefused(const std::string& what, std::int32_t server_code) : Error(Errc::server, what, server_code) {}
};

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
    data::SuperTable table;   ///< when it is a super table
    bool is_virtual = false;  ///< a virtual super table: it takes rows that nobody can ever read
  };
  /// What stands under that name now (never from a cache).
  virtual Found describe(std::string_view name) = 0;
  /// describe() of several, in their order. A catalog that must ask for each asks for all of them together.
  virtual std::vector<Found> describe_all(std::span<const std::string> names) {
    std::vector<Found> found;
    found.reserve(names.size());
    for (const auto& name : names) found.push_back(describe(name));
    return found;
  }
  /// Creates it unless it exists. True: this call made it, so that it stands there as given. False: another loader may
  /// have been first; the caller describes it again.
  /// This and the following throw ChangeRefused, and Error when nothing of the kind will get through (rights).
  virtual bool create(const data::SuperTable& table) = 0;
  /// create() of several where all goes well: of each whether this call made it. Of the others nothing is known, not
  /// even why: create() tells. Throws Error as create(), never ChangeRefused.
  virtual std::vector<bool> create_all(std::span<const data::SuperTable* const> tables) {
    return std::vector<bool>(tables.size(), false);
  }

  enum class Part { column, tag };
  /// Losing a race (exists already, wide enough already) is no error; the caller describes again.
  virtual void add(std::string_view table, Part part, const data::Column& column) = 0;
  virtual void widen(std::string_view table, Part part, const data::Column& column) = 0;
};

}  // namespace penstock::schema
