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
    auto known = known_.find(name);
    if (known == known_.end()) known = remember(name, server_ == nullptr ? Found{} : server_->describe(name));
    auto found = after_.describe(name);
    if (found.kind == Kind::none) return known->second;
    found.is_virtual = known->second.is_virtual;
    return found;
  }
  bool create(const data::SuperTable& table) override { return after_.create(table); }
  std::vector<Found> describe_all(std::span<const std::string> names) override {
    // What is asked for the first time, at once.
    std::vector<std::string> unknown;
    if (server_ != nullptr)
      for (const auto& name : names)
        if (known_.find(name) == known_.end()) unknown.push_back(name);
    if (!unknown.empty()) {
      auto found = server_->describe_all(unknown);
      for (std::size_t i = 0; i < unknown.size(); ++i) remember(unknown[i], std::move(found[i]));
    }
    return Catalog::describe_all(names);
  }
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
  using Known = std::map<std::string, Found, std::less<>>;
  Known::iterator remember(std::string_view name, Found found) {
    if (found.kind == Kind::super_table) after_.create(found.table);
    return known_.insert_or_assign(std::string(name), std::move(found)).first;
  }

  schema::Catalog* server_;
  Known known_;
  sink::MemoryCatalog after_;
};

}  // namespace penstock::cli
