#include "cli/sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_parser.h"
#include "format/forward_parser.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kHead = std::size_t{1} << 20;
// Beyond the head, types are looked for in pieces spread over the whole file.
constexpr std::size_t kPieces = 64;
constexpr std::size_t kPiece = std::size_t{256} << 10;

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

bool looks_binary(std::string_view head) {
  const auto sample = head.substr(0, 4096);
  const auto odd = std::count_if(sample.begin(), sample.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t';
  });
  return odd * 20 > static_cast<std::ptrdiff_t>(sample.size());
}

}  // namespace

data::Precision precision_for(format::TimeUnit unit) noexcept {
  switch (unit) {
    case format::TimeUnit::microseconds: return data::Precision::microseconds;
    case format::TimeUnit::nanoseconds: return data::Precision::nanoseconds;
    default: return data::Precision::milliseconds;
  }
}

void SourceOpener::set_target(TargetTimes times, Describe describe) {
  times_ = std::move(times);
  describe_ = std::move(describe);
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
  const std::lock_guard lock(notes_mutex_);
  return std::exchange(notes_, {});
}

SourceOpener::Probed SourceOpener::look_at(const io::Input& input) {
  if (probed_ && probed_->first == input.name) {
    Probed probed = std::move(probed_->second);
    probed_.reset();
    return probed;
  }
  Probed probed;
  io::ReadOptions read;
  read.chunk_bytes = chunk_bytes_;
  read.max_record = options_.max_record;
  read.use_mmap = options_.use_mmap;
  read.budget = budget_;
  probed.reader = io::Reader::open(input, read);
  const auto head = probed.reader->peek(kHead);
  if (options_.format) {
    probed.format = *options_.format;
  } else if (!head.empty()) {
    if (looks_binary(head))
      throw Error(Errc::io, fmt::format("'{}' holds binary data, no text that can be loaded", input.name));
    const auto guess = format::guess_format(input.name, head);
    if (!guess.format)
      throw Error(Errc::io, fmt::format("cannot tell the format of '{}': name it with --format line or --format csv",
                                        input.name));
    probed.format = *guess.format;
    note(fmt::format("{}: {} ({})", input.name, format::format_name(probed.format), guess.why));
  }
  if (probed.format != format::Format::line && probed.format != format::Format::csv)
    throw Error(Errc::config, fmt::format("'{}' is {}: this version of penstock loads line protocol and CSV",
                                          input.name, format::format_name(probed.format)));
  return probed;
}

std::shared_ptr<const format::CsvPlan> SourceOpener::plan_csv(const io::Input& input, io::Reader& reader) {
  const auto head = reader.peek(kHead);
  const auto dialect = format::sniff(head, options_.mapping);
  format::CsvSample sample(dialect, options_.mapping);
  sample.add_head(head, 0, head.size() < kHead);
  if (const auto size = reader.size(); size > head.size() && head.size() == kHead) {
    const auto stride = std::max<std::uint64_t>(kPiece, (size - kHead) / kPieces);
    std::string piece;
    for (std::uint64_t at = kHead; at < size; at += stride) {
      if (!reader.sample(at, kPiece, piece)) break;
      sample.add_middle(piece);
    }
  }
  const std::string default_table = schema::table_name_of_file(input.standard_input ? "stdin" : input.name);
  const std::string table = options_.mapping.table.empty() ? default_table : options_.mapping.table;
  std::optional<data::SuperTable> existing;
  if (describe_) existing = describe_(table);
  auto plan = std::make_shared<format::CsvPlan>(
      format::make_plan(sample, options_.mapping, default_table, {existing ? &*existing : nullptr}));
  for (const auto& text : plan->notes) note(fmt::format("{}: {}", input.name, text));
  return plan;
}

void SourceOpener::check_precision(const io::Input& input, data::Precision source) const {
  if (!times_.precision || options_.allow_precision_loss || source <= *times_.precision) return;
  throw Error(Errc::config,
              fmt::format("the timestamps of '{}' are in {}, but the database keeps {}: rows would silently be joined. "
                          "Load into a database with PRECISION '{}', say --precision if the timestamps are coarser, or "
                          "accept it with --allow-precision-loss",
                          input.name, data::precision_name(source), data::precision_name(*times_.precision),
                          data::precision_name(source)));
}

data::Precision SourceOpener::probe(const io::Input& input) {
  Probed probed = look_at(input);
  data::Precision precision{};
  if (probed.format == format::Format::csv) {
    probed.plan = plan_csv(input, *probed.reader);
    precision = probed.plan->source_precision;
  } else {
    precision = precision_for(options_.precision.value_or(format::TimeUnit::nanoseconds));
  }
  probed.plan.reset();  // planned again with the target in view
  probed_.emplace(input.name, std::move(probed));
  return precision;
}

std::shared_ptr<pipeline::ParserPool> SourceOpener::line_pool() {
  if (line_pool_) return line_pool_;
  if (options_.forward_lines) {
    line_pool_ =
        std::make_shared<pipeline::ParserPool>([this] { return std::make_unique<format::ForwardParser>(registry_); });
    return line_pool_;
  }
  format::LineOptions line;
  line.precision = options_.precision.value_or(format::TimeUnit::nanoseconds);
  line.naming = options_.naming;
  line.range = {times_.first_ns, times_.last_ns};
  line_pool_ = std::make_shared<pipeline::ParserPool>(
      [this, line] { return std::make_unique<format::LineParser>(registry_, line); });
  return line_pool_;
}

std::string SourceOpener::load_with(const Probed& probed) const {
  std::string flags = fmt::format("--format {}", format::format_name(probed.format));
  if (probed.format == format::Format::line) {
    if (options_.precision) {
      static constexpr const char* kUnits[] = {"h", "m", "s", "ms", "us", "ns"};
      flags += fmt::format(" --precision {}", kUnits[static_cast<std::size_t>(*options_.precision)]);
    }
  } else if (probed.plan) {
    flags += fmt::format(" --table {}", probed.plan->table);
  }
  return flags;
}

pipeline::OpenedSource SourceOpener::open(const io::Input& input, std::uint32_t) {
  Probed probed = look_at(input);
  pipeline::OpenedSource opened;
  opened.format = format::format_name(probed.format);
  if (probed.format == format::Format::csv) {
    if (options_.forward_lines)
      throw Error(Errc::config, fmt::format("'{}' is CSV: --write schemaless forwards line protocol only", input.name));
    probed.plan = plan_csv(input, *probed.reader);
    check_precision(input, probed.plan->source_precision);
    auto* const ref = registry_.table(probed.plan->table);
    if (!ref->declared) ref->declared = std::make_unique<const data::SuperTable>(probed.plan->super_table());
    const auto& dialect = probed.plan->dialect;
    probed.reader->set_cutting({io::Splitting::csv, {dialect.delimiter, dialect.quote, dialect.escape}});
    if (const auto header = probed.plan->data_begin; header > 0) {
      auto text = probed.reader->peek(kHead).substr(0, header);
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
      opened.reject_header = text;
    }
    format::CsvOptions csv;
    csv.naming = options_.naming;
    csv.range = {from_ns(times_.first_ns, probed.plan->time_unit), last_time(times_, probed.plan->time_unit)};
    opened.parsers = std::make_shared<pipeline::ParserPool>(
        [this, plan = probed.plan, csv] { return std::make_unique<format::CsvParser>(registry_, *plan, csv); });
    opened.reject_extension = "csv";
    if (keep_plans_) plans_.emplace_back(input.name, probed.plan);
  } else {
    // An empty source has no timestamps that could lose anything.
    if (!options_.forward_lines && !probed.reader->peek(1).empty())
      check_precision(input, precision_for(options_.precision.value_or(format::TimeUnit::nanoseconds)));
    opened.parsers = line_pool();
    opened.reject_extension = "line";
  }
  opened.load_with = load_with(probed);
  opened.reader = std::move(probed.reader);
  return opened;
}

}  // namespace penstock::cli
