#include "cli/existing_tables.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace penstock::cli {
namespace {

constexpr auto kFresh = std::chrono::seconds(1);

}  // namespace

// Whether nothing stood there a moment ago; the next time the server is asked.
bool ExistingTables::known_absent(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = absent_.find(name);
  if (known == absent_.end()) return false;
  const bool fresh = std::chrono::steady_clock::now() - known->second < kFresh;
  absent_.erase(known);
  return fresh;
}

schema::Catalog::Found ExistingTables::describe(std::string_view name) {
  if (known_absent(name)) return {};
  return judged(name, below_.describe(name));
}

std::vector<schema::Catalog::Found> ExistingTables::describe_all(std::span<const std::string> names) {
  std::vector<Found> found(names.size());
  std::vector<std::size_t> open;
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (known_absent(names[i])) continue;
    open.push_back(i);
    asked.push_back(names[i]);
  }
  auto answers = below_.describe_all(asked);
  for (std::size_t i = 0; i < open.size(); ++i) found[open[i]] = judged(asked[i], std::move(answers[i]));
  return found;
}

schema::Catalog::Found ExistingTables::judged(std::string_view name, Found found) {
  {
    const std::lock_guard lock(mutex_);
    if (found.kind == Kind::none) absent_[std::string(name)] = std::chrono::steady_clock::now();
    if (seen_.find(name) != seen_.end()) return found;
  }
  if (found.kind == Kind::super_table && holds_rows_ && holds_rows_(found.table)) {
    const bool begun = rows_read_();
    throw Error(begun ? Errc::limit : Errc::config,
                fmt::format("super table '{}' holds rows already, and --on-existing is fail-if-not-empty{}. Load into "
                            "another database or table, empty this one, or use --on-existing overwrite: rows with "
                            "equal keys are overwritten then, others stay",
                            printable(name, 192),
                            begun ? ": no row was written to it, but the load had written to other super tables "
                                    "before it met this one"
                                  : "; nothing was written"));
  }
  const std::lock_guard lock(mutex_);
  seen_.emplace(name, found.kind == Kind::super_table);
  return found;
}

bool ExistingTables::is_new(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(name);
  return found != seen_.end() && !found->second;
}

}  // namespace penstock::cli
