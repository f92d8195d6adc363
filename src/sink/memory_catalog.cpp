#include "sink/memory_catalog.h"

namespace penstock::sink {
namespace {

std::vector<data::Column>& part_of(data::SuperTable& table, schema::Catalog::Part part) {
  return part == schema::Catalog::Part::tag ? table.tags : table.columns;
}

}  // namespace

schema::Catalog::Found MemoryCatalog::describe(std::string_view name) {
  const auto found = tables_.find(name);
  if (found == tables_.end()) return {};
  return {Kind::super_table, found->second};
}

bool MemoryCatalog::create(const data::SuperTable& table) { return tables_.emplace(table.name, table).second; }

void MemoryCatalog::add(std::string_view table, Part part, const data::Column& column) {
  part_of(tables_.find(table)->second, part).push_back(column);
}

void MemoryCatalog::widen(std::string_view table, Part part, const data::Column& column) {
  for (auto& have : part_of(tables_.find(table)->second, part))
    if (have.name == column.name) have.width = column.width;
}

}  // namespace penstock::sink
