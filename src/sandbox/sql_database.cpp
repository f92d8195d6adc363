#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "sandbox/sql_session.h"

/// CREATE, ALTER, DROP DATABASE and their options.
namespace penstock::sandbox {
namespace {

[[noreturn]] void invalid_option(const std::string& what) { refuse(0x2619, "Invalid option " + what); }

struct NumberOption {
  std::string_view name, shown;  ///< keyword, and how the server's messages call it
  std::int64_t least, most;
  std::string_view initial;
  bool alterable;
};
constexpr NumberOption kNumbers[] = {
    {"buffer", "buffer", 3, 16384, "256", true},
    {"cachesize", "cacheSize", 1, 65536, "1", true},
    {"comp", "compression", 0, 2, "2", false},
    {"wal_fsync_period", "fsyncPeriod", 0, 180000, "3000", true},
    {"maxrows", "maxRowsPerBlock", 10, 1000000, "4096", false},
    {"minrows", "minRowsPerBlock", 10, 1000000, "100", true},
    {"stt_trigger", "sttTrigger", 1, 16, "2", true},
    {"pages", "pages", 64, INT32_MAX, "256", true},
    {"pagesize", "pagesize", 1, 16384, "4", false},
    {"vgroups", "vgroups", 1, 1024, "2", false},
    {"single_stable", "singleStable", 0, 1, "0", false},
    {"table_prefix", "tablePrefix", -191, 191, "0", false},
    {"table_suffix", "tableSuffix", -191, 191, "0", false},
    {"tsdb_pagesize", "tsdbPageSize", 1, 16384, "4", false},
    {"wal_retention_period", "walRetentionPeriod", -1, INT32_MAX, "3600", true},
    {"wal_retention_size", "walRetentionSize", -1, INT64_MAX, "0", true},
    {"wal_roll_period", "walRollPeriod", 0, INT32_MAX, "", false},
    {"wal_segment_size", "walSegmentSize", 0, INT32_MAX, "", false},
    {"keep_time_offset", "keepTimeOffset", 0, 23, "0", true},
    {"ss_chunkpages", "ssChunkPages", 131072, 1048576, "131072", false},
    {"ss_compact", "ssCompact", 0, 1, "1", true},
    {"schemaless", "schemaless", 0, 1, "", false},
    {"with_arbitrator", "withArbitrator", 0, 1, "", false},
};

/// "10", "10d", "100h", "1440m" in minutes; `shown` becomes what SHOW CREATE prints.
std::int64_t minutes(Cursor& in, std::string_view option, std::string& shown) {
  const auto token = in.peek();
  if (token.kind == Token::Kind::integer) {
    const auto days = in.integer();
    shown = fmt::format("{}d", days);
    return std::min<std::int64_t>(days, 100'000'000) * 1440;
  }
  if (token.kind != Token::Kind::duration) in.syntax_error();
  in.take();
  std::int64_t count = 0;
  std::from_chars(token.text.data(), token.text.data() + token.text.size(), count);
  count = std::min<std::int64_t>(count, 1'000'000'000);
  shown = token.text;
  switch (token.text.back()) {
    case 'm': return count;
    case 'h': return count * 60;
    case 'd': return count * 1440;
    default: invalid_option(fmt::format("{} unit: {}, only m, h, d allowed", option, token.text.back()));
  }
}

struct OptionParser {
  Cursor& in;
  DatabaseOptions& options;
  bool altering;
  std::int64_t duration = 10 * 1440;
  std::array<std::int64_t, 3> keep{3650 * 1440, 3650 * 1440, 3650 * 1440};

  void set(std::string_view name, std::string value) {
    std::string upper(name);
    for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    options.values[upper] = std::move(value);
  }

  bool number() {
    for (const auto& option : kNumbers) {
      if (!in.peek().is(option.name)) continue;
      if (altering && !option.alterable) in.syntax_error();
      in.take();
      const bool negative = in.accept("-");
      const auto value = in.integer() * (negative ? -1 : 1);
      if (value < option.least || value > option.most) {
        invalid_option(fmt::format("{}: {}, valid range: [{}, {}]", option.shown, value, option.least, option.most));
      }
      set(option.name, std::to_string(value));
      return true;
    }
    return false;
  }

  bool one() {
    if (number()) return true;
    if (in.accept("keep")) {
      std::array<std::string, 3> shown;
      std::size_t count = 0;
      do {
        if (count == 3) invalid_option("keep: at most three values");
        keep[count] = minutes(in, "keep", shown[count]);
        ++count;
      } while (in.accept(","));
      for (; count < 3; ++count) {
        keep[count] = keep[count - 1];
        shown[count] = shown[count - 1];
      }
      if (*std::min_element(keep.begin(), keep.end()) < 1440 ||
          *std::max_element(keep.begin(), keep.end()) > 525'600'000) {
        invalid_option(fmt::format("keep: {}, {}, {} valid range: [1440m, 525600000m]", keep[0], keep[1], keep[2]));
      }
      set("keep", fmt::format("{},{},{}", shown[0], shown[1], shown[2]));
      return true;
    }
    if (in.accept("cachemodel")) {
      const auto model = in.string_literal();
      if (model != "none" && model != "last_row" && model != "last_value" && model != "both") {
        invalid_option("cacheModel: " + model);
      }
      set("cachemodel", model);
      return true;
    }
    if (in.accept("wal_level")) {
      const auto level = in.integer();
      if (level < 0 || level > 2) invalid_option(fmt::format("walLevel: {}, only 0, 1, 2 allowed", level));
      set("wal_level", std::to_string(level));
      return true;
    }
    if (in.accept("replica")) {
      const auto replica = in.integer();
      if (replica == 3) refuse(0x0334, "Out of dnodes");
      if (replica != 1) refuse(0x0382, "Invalid database options");
      return true;
    }
    if (altering) return false;
    if (in.accept("precision")) {
      const auto precision = in.string_literal();
      const auto known = data::precision_from_name(precision);
      if (!known || precision.size() != 2) invalid_option("precision: " + precision.substr(0, 2));
      options.precision = *known;
      set("precision", precision);
      return true;
    }
    if (in.accept("duration")) {
      std::string shown;
      duration = minutes(in, "duration", shown);
      if (duration < 60 || duration > 5'256'000) invalid_option("duration: out of range [60m, 5256000m]");
      set("duration", shown);
      return true;
    }
    if (in.accept("strict") || in.accept("encrypt_algorithm") || in.accept("dnodes")) {
      in.string_literal();
      return true;
    }
    for (const auto name : {"ss_keeplocal", "compact_interval", "compact_time_offset"}) {
      if (!in.accept(name)) continue;
      std::string shown;
      minutes(in, name, shown);
      set(name, shown);
      return true;
    }
    if (in.accept("retentions")) {
      // "-:1s" is refused for its unit first; retention levels themselves do not exist here.
      while (!in.at_end() && in.peek().kind != Token::Kind::bad) in.take();
      invalid_option("retentions(keep): 1s, only m, h, d allowed");
    }
    return false;
  }

  void all() {
    while (!in.at_end()) {
      if (!one()) in.syntax_error();
    }
    const bool rising = keep[0] <= keep[1] && keep[1] <= keep[2];
    if (!rising || keep[0] < 3 * duration) {
      refuse(0x2619, "Invalid duration value, should be keep2 >= keep1 >= keep0 >= 3 * duration");
    }
    options.keep_minutes = keep[2];
  }
};

DatabaseOptions default_options() {
  DatabaseOptions options;
  options.values = {{"CACHEMODEL", "none"},
                    {"DURATION", "10d"},
                    {"KEEP", "3650d,3650d,3650d"},
                    {"PRECISION", "ms"},
                    {"REPLICA", "1"},
                    {"WAL_LEVEL", "1"},
                    {"ENCRYPT_ALGORITHM", "none"},
                    {"SS_KEEPLOCAL", "525600m"},
                    {"COMPACT_INTERVAL", "0d"},
                    {"COMPACT_TIME_RANGE", "0d,0d"},
                    {"COMPACT_TIME_OFFSET", "0h"}};
  for (const auto& option : kNumbers) {
    if (option.initial.empty()) continue;
    std::string upper(option.name);
    for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    options.values[upper] = option.initial;
  }
  return options;
}

std::int64_t shown_minutes(std::string_view text) {
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count * (text.ends_with('m') ? 1 : text.ends_with('h') ? 60 : 1440);
}

}  // namespace

Answer run_create_database(SessionContext& context, Cursor& in) {
  const bool lenient = in.accept_all({"if", "not", "exists"});
  const auto name = in.identifier(data::Limits::database_name);
  auto options = default_options();
  OptionParser{in, options, false}.all();
  in.finish();
  if (is_system_database(name)) refuse(0x0200, fmt::format("Cannot create system database: `{}`", name));
  if (name.find('.') != std::string::npos) refuse(0x2617, "The database name cannot contain '.'");
  if (lenient && context.instance->find(name)) return {};
  try {
    context.instance->create(name, options);
  } catch (const RefusalError& e) {
    if (!lenient || e.refusal().code != 0x0381) throw;
  }
  return {};
}

Answer run_alter_database(SessionContext& context, Cursor& in) {
  const auto name = in.identifier(data::Limits::database_name);
  if (in.at_end()) in.syntax_error();
  // The options are read over a copy: an unknown database is told after a wrong option.
  const auto database = context.instance->find(name);
  DatabaseOptions options = default_options();
  if (database) {
    const LockedDatabase locked(database);
    options = locked->options;
  }
  OptionParser parser{in, options, true};
  parser.duration = shown_minutes(options.values["DURATION"]);
  const auto& keep = options.values["KEEP"];
  std::size_t begin = 0;
  for (auto& value : parser.keep) {
    const auto comma = std::min(keep.find(',', begin), keep.size());
    value = shown_minutes(std::string_view(keep).substr(begin, comma - begin));
    begin = std::min(comma + 1, keep.size());
  }
  parser.all();
  in.finish();
  if (!database) refuse(0x0388, "Database not exist");
  const LockedDatabase locked(database);
  if (locked->dropped) refuse(0x0388, "Database not exist");
  locked->options = options;
  locked->save_options();
  return {};
}

}  // namespace penstock::sandbox
