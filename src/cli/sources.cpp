#include "cli/sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "cli/found_mapping.h"
#include "cli/influx_csv_source.h"
#include "format/csv_parser.h"
#include "format/forward_json.h"
#include "format/forward_parser.h"
#include "format/influx_csv_parser.h"
#include "format/influx_dump.h"
#include "format/json_parser.h"
#include "format/telnet_parser.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kHead = std::size_t{1} << 20;
constexpr int kWaitsForRecords = 50;  // of ReadOptions::linger each

std::int64_t from_ns(std::int64_t ns, data::Precision unit) {
  if (ns == INT64_MIN || ns == INT64_MAX) return ns;
  return ns / (1'000'000'000 / data::units_per_second(unit));
}

// Databases of milliseconds and microseconds take times up to the year 2970, later than nanoseconds can say.
std::int64_t last_time(const TargetTimes& times, data::Precision unit) {
  constexpr std::int64_t kLastSecond = 31'556'995'200;
  if (times.precision && times.last_ns == INT64_MAX && unit != data::Precision::nanoseconds)
    return kLastSecond * data::units_per_second(unit);
  return from_ns(times.last_ns, unit);
}

// Formats whose records have members or columns, which a mapping can name.
bool has_columns(format::Format format) noexcept {
  return format == format::Format::csv || format == format::Format::ndjson;
}

bool looks_binary(std::string_view head) {
  const auto sample = head.substr(0, 4096);
  const auto odd = std::count_if(sample.begin(), sample.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t';
  });
  return odd * 20 > static_cast<std::ptrdiff_t>(sample.size());
}

/// Calls `look`; what it throws names the source.
template <class Look>
auto naming(const io::Input& input, Look&& look) {
  try {
    return look();
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", printable(input.name, 400), error.what()), error.server_code());
  }
}

}  // namespace

data::Precision precision_for(format::TimeUnit unit) noexcept {
  switch (unit) {
    case format::TimeUnit::microseconds: return data::Precision::microseconds;
    case format::TimeUnit::nanoseconds: return data::Precision::nanoseconds;
    default: return data::Precision::milliseconds;
  }
}

void SourceOpener::set_target(TargetTimes times, schema::Catalog& catalog) {
  times_ = std::move(times);
  describe_ = [&catalog](const std::string& table) -> std::optional<data::SuperTable> {
    auto found = catalog.describe(table);
    if (found.kind != schema::Catalog::Kind::super_table) return std::nullopt;
    return std::move(found.table);
  };
  // Rows that are left out for their time need not be refused for it before.
  const auto ns = [](const pipeline::Instant& instant) { return instant.rounded_up(data::Precision::nanoseconds); };
  const auto& [since, until, limit] = options_.selection;
  if (since && ns(*since) >= times_.first_ns) times_.first_ns = INT64_MIN;
  if (until && ns(*until) <= times_.last_ns) times_.last_ns = INT64_MAX;
}

void SourceOpener::note(std::string text) {
  const std::lock_guard lock(notes_mutex_);
  if (std::find(noted_.begin(), noted_.end(), text) != noted_.end()) return;
  noted_.push_back(text);
  notes_.push_back(std::move(text));
}

std::vector<std::string> SourceOpener::take_notes() {
  for (const auto& plan : csv_plans_) {
    if (const auto times = plan->local_times->shifted.exchange(0); times > 0)
      note(fmt::format("{} local times that daylight saving skips were moved on (--dst-gap shift)", times));
    if (const auto times = plan->local_times->folded.exchange(0); times > 0)
      note(fmt::format("{} local times come twice where daylight saving ends: the {} one was taken (--dst-fold)", times,
                       plan->dst_fold == schema::CsvMapping::DstFold::first ? "first" : "second"));
  }
  for (const auto& [name, added, extras] : extras_)
    for (const auto& [path, objects] : extras->take())
      note(added ? fmt::format("{}: member '{}' stands in {} objects behind the sample: it became a column of its own "
                               "(--type {}=… says its type, --ignore leaves it out)",
                               printable(name, 400), printable(path, 60), objects, printable(path, 60))
                 : fmt::format("{}: member '{}' stands in {} objects and is none of the columns asked for: left out",
                               printable(name, 400), printable(path, 60), objects));
  const std::lock_guard lock(notes_mutex_);
  return std::exchange(notes_, {});
}

io::ReadOptions SourceOpener::read_options() const {
  io::ReadOptions read;
  read.chunk_bytes = chunk_bytes_;
  read.max_record = options_.max_record;
  read.max_ratio = options_.max_ratio;
  read.use_mmap = options_.use_mmap;
  read.budget = budget_;
  read.skipped = options_.skipped;
  return read;
}

SourceOpener::Probed SourceOpener::look_at(const io::Input& input) {
  if (probed_ && probed_->first == input.name) {
    Probed probed = std::move(probed_->second);
    probed_.reset();
    return probed;
  }
  Probed probed;
  probed.reader = io::Reader::open(input, read_options());
  const auto head = probed.reader->peek(kHead);
  if (options_.format) {
    probed.format = *options_.format;
  } else if (!head.empty()) {
    if (looks_binary(head))
      throw Error(Errc::io,
                  fmt::format("'{}' holds binary data, no text that can be loaded", printable(input.name, 400)));
    const auto guess = format::guess_format(input.name, head);
    if (!guess.format)
      throw Error(Errc::io,
                  fmt::format("cannot tell the format of '{}': name it with --format line, telnet, json, ndjson or csv",
                              printable(input.name, 400)));
    probed.format = *guess.format;
    note(fmt::format("{}: {} ({})", printable(input.name, 400), format::format_name(probed.format), guess.why));
  }
  if (probed.format == format::Format::csv && format::is_influx_csv(head)) {
    probed.format = format::Format::influx_csv;
    note(fmt::format("{}: influx-csv (the text begins with annotations of InfluxDB)", printable(input.name, 400)));
  }
  if (probed.format == format::Format::ndjson) csv_.treat_as_ndjson(input);
  // A header alone shows no types: a pipe that pauses behind it is waited for, within reason.
  if (has_columns(probed.format) && input.standard_input)
    for (int wait = 0; wait < kWaitsForRecords; ++wait) {
      const auto seen = probed.reader->peek(kHead);
      if (std::count(seen.begin(), seen.end(), '\n') >= 2) break;
    }
  return probed;
}

CsvSource SourceOpener::plan_csv(const io::Input& input, io::Reader& reader) {
  return naming(input, [&] {
    return csv_.plan(input, reader, describe_, times_.precision, [this](std::string text) { note(std::move(text)); });
  });
}

bool SourceOpener::learn(const format::Contradiction& contradiction, std::span<const io::Input> inputs,
                         unsigned threads, std::stop_token stop) {
  auto read = read_options();
  read.budget = nullptr;
  return csv_.learn(contradiction.table, inputs, read, threads, std::move(stop));
}

void SourceOpener::check_precision(const io::Input& input, data::Precision source) const {
  if (!times_.precision || options_.allow_precision_loss || source <= *times_.precision) return;
  throw Error(Errc::config,
              fmt::format("the timestamps of '{}' are in {}, but the database keeps {}: rows would silently be joined. "
                          "Load into a database with PRECISION '{}', say --precision if the timestamps are coarser, or "
                          "accept it with --allow-precision-loss",
                          printable(input.name, 400), data::precision_name(source),
                          data::precision_name(*times_.precision), data::precision_name(source)));
}

data::Precision SourceOpener::probe(const io::Input& input) {
  Probed probed = look_at(input);
  data::Precision precision{};
  if (has_columns(probed.format)) {
    precision = csv_.needed_precision(input, *probed.reader);
  } else {
    precision = text_precision(probed);
  }
  probed.plan.reset();  // planned again with the target in view
  probed_.emplace(input.name, std::move(probed));
  return precision;
}

SourceOpener::Look SourceOpener::take_look(const io::Input& input) {
  Probed probed = look_at(input);
  Look look{std::move(probed.reader), probed.format, nullptr};
  // Where open() refuses the source for another reason, it says so without a sample.
  if (has_columns(look.format) && !options_.forward_lines && options_.context_db.empty())
    look.sample = naming(input, [&] { return csv_.take_sample(input, *look.reader); });
  return look;
}

void SourceOpener::put_look(const io::Input& input, Look look) {
  if (probed_) return;
  if (look.format == format::Format::ndjson) csv_.treat_as_ndjson(input);
  if (look.sample != nullptr) csv_.keep_sample(input, std::move(look.sample));
  Probed probed;
  probed.reader = std::move(look.reader);
  probed.format = look.format;
  probed_.emplace(input.name, std::move(probed));
}

// The precision that holds the times of a text format: telnet knows nothing finer than ms.
data::Precision SourceOpener::text_precision(const Probed& probed) const {
  if (probed.format == format::Format::telnet) return data::Precision::milliseconds;
  if (probed.format == format::Format::influx_csv) return format::influx_csv_precision(probed.reader->peek(kHead));
  if (probed.format == format::Format::json) return format::json_precision(probed.reader->peek(kHead));
  return precision_for(options_.precision.value_or(format::TimeUnit::nanoseconds));
}

std::shared_ptr<pipeline::ParserPool> SourceOpener::text_pool(format::Format format) {
  auto& pool = text_pools_[format];
  if (!pool) pool = std::make_shared<pipeline::ParserPool>(make_text_parser(format));
  return pool;
}

pipeline::ParserPool::Make SourceOpener::make_text_parser(format::Format format) {
  if (options_.forward_lines && format == format::Format::json)
    return [this] { return std::make_unique<format::ForwardJsonParser>(registry_); };
  if (options_.forward_lines)
    return [this, format] { return std::make_unique<format::ForwardParser>(registry_, format); };
  if (format == format::Format::telnet) {
    format::TelnetOptions telnet;
    telnet.naming = options_.naming;
    telnet.record_clock = options_.record_clock;
    telnet.range = {times_.first_ns, times_.last_ns};
    return [this, telnet] { return std::make_unique<format::TelnetParser>(registry_, telnet); };
  }
  if (format == format::Format::json) {
    format::JsonOptions json;
    json.naming = options_.naming;
    json.record_clock = options_.record_clock;
    json.range = {times_.first_ns, times_.last_ns};
    return [this, json] { return std::make_unique<format::JsonParser>(registry_, json); };
  }
  format::LineOptions line;
  line.precision = options_.precision.value_or(format::TimeUnit::nanoseconds);
  line.naming = options_.naming;
  line.record_clock = options_.record_clock;
  line.range = {times_.first_ns, times_.last_ns};
  return [this, line] { return std::make_unique<format::LineParser>(registry_, line); };
}

std::string SourceOpener::load_with(const Probed& probed) const {
  std::string flags = fmt::format("--format {}", format::format_name(probed.format)) + options_.name_flags;
  // What has a mapping finds the unit of its times there.
  if (!probed.plan && options_.precision) {
    static constexpr const char* kUnits[] = {"h", "m", "s", "ms", "us", "ns"};
    flags += fmt::format(" --precision {}", kUnits[static_cast<std::size_t>(*options_.precision)]);
  }
  if (probed.plan) return flags;  // and what becomes of tags
  for (const auto& key : options_.naming.drop_tags) flags += " --drop-tag " + pipeline::shell_quoted(key);
  for (const auto& key : options_.naming.tags_as_columns) flags += " --tag-as-column " + pipeline::shell_quoted(key);
  return flags;
}

void SourceOpener::open_csv(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened) {
  const auto found = plan_csv(input, *probed.reader);
  probed.plan = found.plan;
  check_precision(input, probed.plan->source_precision);
  const auto& dialect = probed.plan->dialect;
  opened.cutting = {io::Splitting::csv, {dialect.delimiter, dialect.quote, dialect.escape}};
  probed.reader->set_cutting(opened.cutting);
  if (const auto header = probed.plan->data_begin; header > 0) {
    auto text = probed.reader->peek(kHead).substr(0, header);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    opened.reject_header = text;
  }
  format::CsvOptions csv;
  csv.naming = options_.naming;
  csv.range = {from_ns(times_.first_ns, probed.plan->time_unit), last_time(times_, probed.plan->time_unit)};
  csv.contradictions = true;
  opened.parsers = std::make_shared<pipeline::ParserPool>([this, found, csv]() -> std::unique_ptr<format::Parser> {
    if (found.tables) return std::make_unique<format::CsvTablesParser>(registry_, *found.plan, *found.tables, csv);
    return std::make_unique<format::CsvParser>(registry_, *found.plan, csv);
  });
  opened.reject_extension = "csv";
  csv_plans_.push_back(probed.plan);
  if (!keep_plans_) return;
  if (!found.tables) plans_.emplace_back(input.name, probed.plan);
  else
    for (const auto& plan : found.tables->plans()) plans_.emplace_back(input.name, plan);
}

void SourceOpener::open_ndjson(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened) {
  const auto found = plan_csv(input, *probed.reader);
  check_precision(input, found.plan->source_precision);
  auto source = std::make_shared<format::NdjsonParser::Source>();
  for (const auto& column : found.plan->columns) source->columns.paths.push_back(column.csv_name);
  source->columns.layout = format::ndjson_layout(probed.reader->peek(kHead));
  source->plan = std::make_shared<const format::CsvPlan>(format::ndjson_plan(*found.plan));
  source->add_columns = options_.mapping.columns.empty();
  source->extras = std::make_shared<format::NdjsonExtras>();
  extras_.push_back({input.name, source->add_columns, source->extras});
  if (source->columns.layout == format::NdjsonLayout::objects) opened.cutting.splitting = io::Splitting::json;
  probed.reader->set_cutting(opened.cutting);
  format::CsvOptions csv;
  csv.naming = options_.naming;
  csv.range = {from_ns(times_.first_ns, source->plan->time_unit), last_time(times_, source->plan->time_unit)};
  csv.contradictions = true;
  const std::shared_ptr<const format::NdjsonParser::Source> shared = source;
  const auto tables = found.tables;
  opened.parsers = std::make_shared<pipeline::ParserPool>([this, shared, tables, csv] {
    std::unique_ptr<format::Parser> parser;
    if (tables) parser = std::make_unique<format::CsvTablesParser>(registry_, *shared->plan, *tables, csv);
    else parser = std::make_unique<format::CsvParser>(registry_, *shared->plan, csv);
    return std::make_unique<format::NdjsonParser>(shared, std::move(parser));
  });
  opened.reject_extension = "ndjson";
  probed.plan = found.plan;
  csv_plans_.push_back(found.plan);
  if (!keep_plans_) return;
  if (!tables) plans_.emplace_back(input.name, found.plan);
  else
    for (const auto& plan : tables->plans()) plans_.emplace_back(input.name, plan);
}

void SourceOpener::open_influx_csv(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened) {
  format::InfluxCsvOptions csv;
  csv.naming = options_.naming;
  csv.range = {times_.first_ns, times_.last_ns};
  csv.table = options_.mapping.table;
  if (csv.table.empty()) csv.table = schema::table_name_of_file(input.standard_input ? "stdin" : input.name);
  auto outline = std::make_shared<format::InfluxCsvOutline>();
  probed.reader = outlined(std::move(probed.reader), outline);
  opened.parsers = std::make_shared<pipeline::ParserPool>(
      [this, outline, csv] { return std::make_unique<format::InfluxCsvParser>(registry_, outline, csv); });
  opened.reject_extension = "csv";
}

pipeline::OpenedSource SourceOpener::open(const io::Input& input, std::uint32_t source) {
  Probed probed = look_at(input);
  pipeline::OpenedSource opened;
  opened.format = format::format_name(probed.format);
  if (!options_.context_db.empty() && probed.format != format::Format::line && !probed.reader->peek(1).empty())
    throw Error(Errc::config, fmt::format("--context-db chooses a database of a dump in line protocol; '{}' is {}",
                                          printable(input.name, 400), opened.format));
  if (has_columns(probed.format)) {
    if (options_.forward_lines)
      throw Error(Errc::config,
                  fmt::format("'{}' is {}: --write schemaless forwards line protocol, telnet and JSON only",
                              printable(input.name, 400), format::format_name(probed.format)));
    if (probed.format == format::Format::csv) open_csv(input, probed, opened);
    else open_ndjson(input, probed, opened);
  } else {
    // An empty source has no timestamps that could lose anything.
    if (!options_.forward_lines && !probed.reader->peek(1).empty()) check_precision(input, text_precision(probed));
    if (probed.format == format::Format::influx_csv) {
      if (options_.forward_lines)
        throw Error(
            Errc::config,
            fmt::format("'{}' is annotated CSV: --write schemaless forwards line protocol, telnet and JSON only",
                        printable(input.name, 400)));
      open_influx_csv(input, probed, opened);
      opened.load_with = load_with(probed);
      opened.reader = std::move(probed.reader);
      return opened;
    }
    if (probed.format == format::Format::json) opened.cutting.splitting = io::Splitting::json;
    probed.reader->set_cutting(opened.cutting);
    if (probed.format == format::Format::line) {
      format::check_dump_head(input.name, format::read_dump_head(probed.reader->peek(kHead)), options_.context_db);
      opened.filter = format::DumpFilter(input.name, options_.context_db, marks_of_ ? marks_of_(source) : nullptr);
    }
    opened.parsers = text_pool(probed.format);
    opened.reject_extension = format::format_name(probed.format);
  }
  opened.load_with = load_with(probed);
  if (probed.plan)
    opened.reject_mapping = schema::to_toml(found_mapping(*probed.plan, options_.mapping, probed.format));
  opened.reader = std::move(probed.reader);
  return opened;
}

}  // namespace penstock::cli
