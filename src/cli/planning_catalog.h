#pragma once

#include <map>
#include <string>
#include <vector>

#include "schema/catalog.h"
#include "sink/memory_catalog.h"

namespace penstock::cli {

/// A database as a load would leave it: what stands on the server, with the load's changes remembered instead of made.
/// One thread.
class PlanningCatalog : public schema::Catalog {
 public:
  /// `server`: nullptr for an empty database; else it outlives this.
  explicit PlanningCatalog(schema::Catalog* server) : server_(server) {}

  Found describe(std::string_view name) override {
    auto [known, is_new] = known_.try_emplace(std::string(name));
    if (is_new && server_ != nullptr) {
      known->second = server_->describe(name);
      if (known->second.kind == Kind::super_table) after_.create(known->second.table);
    }
    auto found = after_.describe(name);
    if (found.kind == Kind::none) return known->second;
    found.is_virtual = known->second.is_virtual;
    return found;
  }
  void create(const data::SuperTable& table) override { after_.create(table); }
  void add(std::string_view table, Part part, const data::Column& column) override { after_.add(table, part, column); }
  void widen(std::string_view table, Part part, const data::Column& column) override {
    after_.widen(table, part, column);
  }

  [[nodiscard]] bool has_server() const noexcept { return server_ != nullptr; }
  /// What stands on the server under a name that was asked for.
  [[nodiscard]] const Found* on_server(std::string_view name) const {
    const auto found = known_.find(name);
    return found == known_.end() ? nullptr : &found->second;
  }

 private:
  schema::Catalog* server_;
  std::map<std::string, Found, std::less<>> known_;
  sink::MemoryCatalog after_;
};

}  // namespace penstock::cli
