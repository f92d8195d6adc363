#include "cli/csv_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "format/ndjson_text.h"
#include "io/cutter.h"

namespace penstock::cli {
namespace {

// By its start the form of a file is told; its types by all of it, or, of a big file, by pieces from end to end. What
// they did not show costs a second beginning, or rows where none can be made: then more is looked at.
constexpr std::size_t kHead = std::size_t{1} << 20;
constexpr std::size_t kPieces = 128;
constexpr std::size_t kMostHeader = std::size_t{32} << 20;
struct Shares {
  std::size_t whole;       // of files up to so many bytes all is looked at,
  std::size_t piece;       // of larger ones kPieces of so many;
  std::size_t compressed;  // compressed data cannot be looked at here and there, but further
};
constexpr Shares kAnew{std::size_t{8} << 20, std::size_t{32} << 10, std::size_t{4} << 20};
constexpr Shares kOnce{std::size_t{32} << 20, std::size_t{64} << 10, std::size_t{8} << 20};
// Of a source that is looked at only for the first rows of a whole run.
constexpr std::size_t kShortHead = std::size_t{256} << 10;
constexpr unsigned kMostThreads = 4;
constexpr std::size_t kMostRecord = std::size_t{16} << 20;
// How often the types of one super table may prove too narrow. All its sources are looked at from end to end then, so
// that what does not fit after that is refused for another reason, or its source has changed meanwhile.
constexpr unsigned kMostWidenings = 1;

/// The start of a source. A header that is longer than that is wanted whole, below comments too.
std::string_view peek_head(io::Reader& reader, const std::stop_token& stop = {}) {
  const auto head = reader.peek(kHead, stop);
  return head.size() == kHead && head.find('\n', kHead / 2) == std::string_view::npos ? reader.peek(kMostHeader, stop)
                                                                                      : head;
}

unsigned sampling_threads() {
  static const unsigned kThreads = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  return kThreads;
}

/// Counts in `parts` copies of the sample at once, each by add(copy, part), and takes what they found in order.
template <class Add>
void add_in_parts(format::CsvSample& sample, std::size_t parts, Add&& add) {
  std::vector<format::CsvSample> found(parts, sample.empty_copy());
  {
    std::vector<std::jthread> others;
    for (std::size_t part = 1; part < parts; ++part)
      others.emplace_back([&found, &add, part] { add(found[part], part); });
    if (parts > 0) add(found[0], 0);
  }
  for (const auto& part : found) sample.merge(part);
}

/// Adds `text`, all of a file, as add_head() does.
void add_whole(format::CsvSample& sample, std::string_view text) {
  const auto& dialect = sample.dialect();
  const io::Cutting cutting{io::Splitting::csv, {dialect.delimiter, dialect.quote, dialect.escape}};
  const auto threads = sampling_threads();
  std::vector<std::string_view> parts;
  for (auto rest = text; threads > 1 && !rest.empty();) {
    const auto size = parts.empty() ? kHead : (text.size() - parts[0].size()) / threads + 1;
    const auto cut = io::Cutter(cutting, size, kMostRecord).cut(rest, true);
    if (cut.kind != io::Cut::Kind::records) break;
    parts.push_back(rest.substr(0, cut.bytes));
    rest.remove_prefix(cut.bytes);
    if (rest.empty() && parts.size() > 1) {
      sample.add_head(parts[0], 0, true);
      if (sample.width() == 0) {  // nothing but blank lines: the next part tells the columns
        for (std::size_t part = 1; part < parts.size(); ++part) sample.add_chunk(parts[part]);
        return;
      }
      return add_in_parts(sample, parts.size() - 1,
                          [&](format::CsvSample& found, std::size_t part) { found.add_chunk(parts[part + 1]); });
    }
  }
  sample.add_head(text, 0, true);
}

/// Adds pieces from everywhere behind the head. A piece that cannot be read ends it.
void add_pieces(format::CsvSample& sample, const io::Reader& reader, std::size_t bytes) {
  const auto size = reader.size();
  const auto stride = std::max<std::uint64_t>(bytes, (size - kHead) / kPieces);
  const auto pieces = (size - kHead + stride - 1) / stride;
  const auto threads = sampling_threads();
  add_in_parts(sample, threads, [&](format::CsvSample& found, std::size_t part) {
    std::string piece;
    for (auto p = pieces * part / threads; p < pieces * (part + 1) / threads; ++p) {
      if (!reader.sample(kHead + p * stride, bytes, piece)) break;
      found.add_middle(piece);
    }
  });
}

}  // namespace

bool can_read_twice(std::span<const io::Input> inputs) {
  return std::none_of(inputs.begin(), inputs.end(), [](const io::Input& input) {
    std::error_code error;
    return input.standard_input || !std::filesystem::is_regular_file(input.path, error);
  });
}

std::string csv_default_table(const io::Input& input) {
  return schema::table_name_of_file(input.standard_input ? "stdin" : input.name);
}

std::shared_ptr<const format::CsvSample> CsvSources::look_at(const io::Input& input, io::Reader& reader) {
  if (auto probed = probed_.extract(input.name)) return std::move(probed.mapped());
  if (const auto known = knowledge_->whole.find(input.name); known != knowledge_->whole.end())
    return std::make_shared<const format::CsvSample>(known->second);
  if (ndjson_.count(input.name) > 0) return look_at_ndjson(reader);
  const auto& shares = knowledge_->can_begin_anew ? kAnew : kOnce;
  auto head = peek_head(reader);
  const bool long_header = head.size() > kHead;
  auto sample = std::make_shared<format::CsvSample>(format::sniff(head, mapping_), mapping_);
  const auto size = reader.size();
  const bool compressed = reader.compression() != io::Compression::none;
  std::string piece;
  if (long_header) {
    sample->add_head(head, 0, head.size() < kMostHeader);
  } else if (head.size() == kHead && only_heads_) {
    sample->add_head(head.substr(0, std::max(kShortHead, head.find('\n') + 1)), 0, false);
  } else if (head.size() < kHead || compressed || !reader.sample(0, 1, piece)) {
    if (head.size() == kHead && compressed) head = reader.peek(shares.compressed);
    sample->add_head(head, 0, head.size() < kHead);
  } else if (size <= shares.whole) {
    add_whole(*sample, reader.peek(shares.whole + 1));
  } else {
    sample->add_head(head, 0, false);
    add_pieces(*sample, reader, shares.piece);
  }
  return sample;
}

std::shared_ptr<format::CsvSample> CsvSources::look_at_ndjson(io::Reader& reader) const {
  const auto& shares = knowledge_->can_begin_anew ? kAnew : kOnce;
  auto head = reader.peek(kHead);
  std::vector<std::string> middle;
  if (head.size() == kHead && !only_heads_) {
    std::string piece;
    const auto size = reader.size();
    if (reader.compression() != io::Compression::none || !reader.sample(0, 1, piece) ||
        format::ndjson_layout(head) != format::NdjsonLayout::lines) {
      head = reader.peek(shares.compressed);
    } else if (size <= shares.whole) {
      head = reader.peek(shares.whole + 1);
    } else {
      const auto stride = std::max<std::uint64_t>(shares.piece, (size - kHead) / kPieces);
      for (std::uint64_t at = kHead; at < size && reader.sample(at, shares.piece, piece); at += stride)
        middle.push_back(piece);
    }
  }
  std::vector<std::string_view> pieces{head};
  pieces.insert(pieces.end(), middle.begin(), middle.end());
  return std::make_shared<format::CsvSample>(format::ndjson_sample(format::ndjson_columns(pieces), pieces, mapping_));
}

std::optional<format::CsvSample> CsvSources::look_at_whole_ndjson(const io::Input& input,
                                                                  const io::ReadOptions& options,
                                                                  const std::stop_token& stop) const {
  const auto reader = io::Reader::open(input, options);
  auto sample = look_at_ndjson(*reader);
  const format::NdjsonColumns columns{sample->names(), format::ndjson_layout(reader->peek(kHead))};
  reader->set_cutting({io::Splitting::json, {}});
  if (columns.layout == format::NdjsonLayout::lines) reader->set_cutting({});
  format::NdjsonTranscoder transcoder(columns);
  auto counted = sample->empty_copy();
  try {
    for (io::Chunk chunk; reader->next(chunk, stop);) {
      if (chunk.oversized) continue;
      transcoder.transcode(io::for_one_pass(chunk).text);
      counted.add_chunk(transcoder.csv());
    }
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the load tells of it when it gets there
  }
  if (stop.stop_requested()) return std::nullopt;
  sample->take_counts(std::move(counted));
  return std::move(*sample);
}

data::Precision CsvSources::needed_precision(const io::Input& input, io::Reader& reader) {
  auto sample = look_at(input, reader);
  const auto precision = format::make_plan(*sample, mapping_, csv_default_table(input)).source_precision;
  keep_sample(input, std::move(sample));
  return precision;
}

std::shared_ptr<const format::CsvSample> CsvSources::take_sample(const io::Input& input, io::Reader& reader) {
  return look_at(input, reader);
}

void CsvSources::keep_sample(const io::Input& input, std::shared_ptr<const format::CsvSample> sample) {
  probed_.insert_or_assign(input.name, std::move(sample));
}

std::shared_ptr<const format::CsvPlan> CsvSources::plan_table(
    const std::string& table, const Describe& describe,
    const std::function<format::CsvPlan(format::PlanContext)>& make) {
  const std::lock_guard lock(mutex_);
  std::optional<data::SuperTable> existing;
  if (describe) existing = describe(table);
  auto* const ref = registry_.table(table);
  // What did not exist when the run first asked is the run's own work, and its types can be thought over.
  if (!existing && knowledge_->ours.insert(table).second && knowledge_->on_ours) knowledge_->on_ours(knowledge_->ours);
  const bool ours = knowledge_->ours.count(table) > 0;
  if (!existing && ref->declared) existing = *ref->declared;
  format::PlanContext context;
  context.target = existing ? &*existing : nullptr;
  context.target_is_inferred = ours;
  if (const auto types = knowledge_->types.find(table); types != knowledge_->types.end())
    context.scanned = &types->second;
  auto plan = std::make_shared<format::CsvPlan>(make(context));
  if (!knowledge_->can_begin_anew || !ours || knowledge_->widened[table] >= kMostWidenings) {
    for (auto& column : plan->columns) column.inferred = false;
  }
  if (!ref->declared) ref->declared = std::make_unique<const data::SuperTable>(plan->super_table());
  return plan;
}

CsvSource CsvSources::plan(const io::Input& input, io::Reader& reader, const Describe& describe,
                           std::optional<data::Precision> finest, const Note& note) {
  const auto sample = look_at(input, reader);
  const auto default_table = csv_default_table(input);
  // Times as fine as the database keeps them: a later one may need it.
  const auto refine = [&](format::CsvPlan& plan) {
    if (!mapping_.precision && finest && *finest > plan.time_unit) plan.time_unit = *finest;
  };
  CsvSource source;
  if (mapping_.table_column.empty()) {
    const auto table = mapping_.table.empty() ? default_table : mapping_.table;
    source.plan = plan_table(table, describe, [&](const format::PlanContext& context) {
      auto plan = format::make_plan(*sample, mapping_, default_table, context);
      refine(plan);
      return plan;
    });
    for (const auto& text : source.plan->notes) note(fmt::format("{}: {}", printable(input.name, 400), text));
    return source;
  }
  auto whole = format::make_plan(*sample, mapping_, default_table);
  refine(whole);
  for (const auto& text : whole.notes) note(fmt::format("{}: {}", printable(input.name, 400), text));
  const auto shared = std::make_shared<const format::CsvPlan>(std::move(whole));
  source.plan = shared;
  source.tables = std::make_shared<format::CsvTables>([this, sample, shared, describe](const std::string& value) {
    return plan_table(schema::legal_table_name(value), describe, [&](const format::PlanContext& context) {
      return format::make_table_plan(*shared, *sample, mapping_, value, context);
    });
  });
  for (const auto& [value, columns] : sample->tables()) source.tables->plan(value);
  note(fmt::format("{}: column '{}' names {} super table{}", printable(input.name, 400),
                   printable(mapping_.table_column), sample->tables().size(), sample->tables().size() == 1 ? "" : "s"));
  return source;
}

std::optional<format::CsvSample> CsvSources::look_at_whole(const io::Input& input, const io::ReadOptions& options,
                                                           unsigned threads, const std::stop_token& stop) const {
  const auto reader = io::Reader::open(input, options);
  const auto head = peek_head(*reader, stop);
  format::CsvSample sample(format::sniff(head, mapping_), mapping_);
  sample.add_head(head, 0, head.size() < kHead || (head.size() > kHead && head.size() < kMostHeader));
  const auto& dialect = sample.dialect();
  reader->set_cutting({io::Splitting::csv, {dialect.delimiter, dialect.quote, dialect.escape}});
  std::mutex mutex;
  format::CsvSample counted = sample.empty_copy();
  bool ended = false;
  const auto work = [&] {
    auto part = sample.empty_copy();
    while (true) {
      io::Chunk chunk;
      {
        const std::lock_guard lock(mutex);
        if (ended) break;
        try {
          if (!reader->next(chunk, stop)) {
            ended = true;
            break;
          }
        } catch (const Error&) {  // the records before it count; the load tells of it when it gets there
          ended = true;
          break;
        }
      }
      if (chunk.oversized || chunk.broken_quote) continue;
      const auto pass = io::for_one_pass(chunk);
      auto text = pass.text;
      if (chunk.offset < sample.data_begin())
        text.remove_prefix(std::min<std::size_t>(text.size(), sample.data_begin() - chunk.offset));
      part.add_chunk(text);
    }
    const std::lock_guard lock(mutex);
    counted.merge(part);
  };
  {
    std::vector<std::jthread> others;
    for (unsigned t = 1; t < threads; ++t) others.emplace_back(work);
    work();
  }
  if (stop.stop_requested()) return std::nullopt;
  sample.take_counts(std::move(counted));
  return sample;
}

bool CsvSources::learn(const std::string& table, std::span<const io::Input> inputs, const io::ReadOptions& options,
                       unsigned threads, std::stop_token stop) {
  ++knowledge_->widened[table];
  knowledge_->types.erase(table);
  auto& types = knowledge_->types[table];
  const auto take = [&](const format::CsvSample& sample, const format::CsvPlan& plan) {
    for (std::size_t c = 0; c < plan.columns.size(); ++c)
      if (sample.looked_at(c)) types[plan.columns[c].column.name].merge(sample.column(c));
  };
  for (const auto& input : inputs) {
    if (mapping_.table_column.empty() && (mapping_.table.empty() ? csv_default_table(input) : mapping_.table) != table)
      continue;
    try {
      auto sample = ndjson_.count(input.name) > 0 ? look_at_whole_ndjson(input, options, stop)
                                                  : look_at_whole(input, options, threads, stop);
      if (!sample) return false;
      const auto whole = format::make_plan(*sample, mapping_, csv_default_table(input));
      if (mapping_.table_column.empty()) {
        take(*sample, whole);
      } else {
        for (const auto& [value, columns] : sample->tables()) {
          if (schema::legal_table_name(value) == table)
            take(sample->of_table(value), format::make_table_plan(whole, *sample, mapping_, value));
        }
      }
      knowledge_->whole.insert_or_assign(input.name, std::move(*sample));
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): a source that is bad is told of when the load opens it
    }
  }
  return true;
}

}  // namespace penstock::cli
