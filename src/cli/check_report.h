#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/preflight.h"
#include "pipeline/rejects.h"

namespace penstock::cli {

/// What `check` found out. Shown as text or JSON; the members of the JSON are documented in docs/check.md.
struct CheckReport {
  struct Column {
    std::string name;      ///< in the source
    std::string becomes;   ///< "tag `site`", "column `v`", "the timestamp", "the child table's name", "left out"
    std::string type;      ///< as SQL; may be empty
    std::string evidence;  ///< why
  };
  struct Source {
    std::string name, format, compression, error;
    std::vector<std::string> why;  ///< the guesses, one sentence each
    std::uint64_t rows = 0, rejected = 0, left_out = 0, bytes = 0;
    std::vector<Column> columns;  ///< CSV and the like
  };
  struct Table {
    std::string name, ddl;
    bool exists = false;
    std::uint64_t rows = 0, out_of_order = 0;
    std::string first, last;  ///< times
  };
  std::vector<Source> sources;
  std::vector<std::string> notes;
  std::vector<Table> tables;
  std::uint64_t child_tables = 0;
  std::vector<pipeline::Rejects::Group> rejects;
  std::string rate;         ///< "500k/s"
  bool rate_given = false;  ///< else the default
  double seconds = 0;       ///< that a load takes at this rate
  std::string target;       ///< DSN without secrets; empty: none was given
  std::vector<Finding> findings;
  std::string saved_mapping;  ///< file; empty: none
  int exit_status = 0;
};

std::string to_text(const CheckReport& report);
std::string to_json(const CheckReport& report);

}  // namespace penstock::cli
