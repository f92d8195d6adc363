#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/sources.h"

namespace CLI {
class App;
}

namespace penstock::cli {

/// Flags as they were typed; turned into options by the functions below, which throw Error(Errc::config) with the
/// flag's name.
struct SourceFlags {
  std::vector<std::string> sources;
  std::string format;
  std::string precision;
  std::string max_record = "16M";
  std::uint64_t max_ratio = 1000;
  bool no_mmap = false;
  bool coerce = false;
  std::string since, until, limit;
  // names
  std::string table_name_key, child_table_tag, child_table_delimiter;
  std::string timestamp_name = "_ts";
  std::string default_tag_name = "_tag_null";
  std::string dot_to_underscore = "on";
  std::vector<std::string> drop_tags, tags_as_columns;
  std::string context_db;
  // CSV
  std::string dst_gap, dst_fold, table_column, decimal;
  std::string mapping, table, timestamp, child_table, child_table_column, header, delimiter, quote, escape, time_format,
      timezone;
  std::vector<std::string> tags, columns, ignore, rename, types, constant_tags, names, nulls;
  std::uint64_t skip_lines = 0;
};

/// Adds the flags that tell how sources are read.
void add_source_flags(CLI::App& command, SourceFlags& flags);
SourceOptions to_options(const SourceFlags& flags);

/// "512M" for `--memory` and the like. Throws Error(Errc::config) naming the flag.
std::size_t size_flag(const std::string& flag, const std::string& text);
std::chrono::milliseconds duration_flag(const std::string& flag, const std::string& text);

/// "200k/s" or "50MB/s".
struct Rate {
  double rows_per_second = 0;  ///< 0: no limit
  double bytes_per_second = 0;
};
Rate rate_flag(const std::string& flag, const std::string& text);

/// "1000" or "5%".
struct RejectLimit {
  std::uint64_t count = 1'000'000;
  double share = 1.0;
  bool given = false;
};
RejectLimit reject_limit_flag(const std::string& text);

}  // namespace penstock::cli
