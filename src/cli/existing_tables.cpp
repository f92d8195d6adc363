#include "cli/existing_tables.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace penstock::cli {

schema::Catalog::Found ExistingTables::describe(std::string_view name) {
  auto found = below_.describe(name);
  {
    const std::lock_guard lock(mutex_);
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
