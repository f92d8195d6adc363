#pragma once

#include <map>
#include <string>

#include "schema/catalog.h"

namespace penstock::sink {

/// An empty database without a server: for `--to null:` and `check`. One thread.
class MemoryCatalog : public schema::Catalog {
 public:
  Found describe(std::string_view name) override;
  bool create(const data::SuperTable& table) override;
  void add(std::string_view table, Part part, const data::Column& column) override;
  void widen(std::string_view table, Part part, const data::Column& column) override;

 private:
  std::map<std::string, data::SuperTable, std::less<>> tables_;
};

}  // namespace penstock::sink
