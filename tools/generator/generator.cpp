#include "generator.h"

#include <bit>
#include <cmath>
#include <memory>

#include "encoder.h"

namespace penstock::generator {
namespace {

constexpr std::uint32_t kNever = UINT32_MAX;
constexpr std::uint32_t kRecentRows = 1024;  // a duplicate repeats one of them
constexpr std::uint32_t kLatestSteps = 60;   // a late row comes at most so many intervals late

// Says at which records something happens: on the average after 1/share of them, never before the next one.
// Integer arithmetic only, so that the bytes do not depend on a maths library.
class Schedule {
 public:
  Schedule(double share, Random& random) : random_(random) {
    if (share <= 0) return;
    spread_ = static_cast<std::uint32_t>(std::min(4e9, std::round(2 / share - 1)));
    next_ = gap();
  }
  [[nodiscard]] bool due(std::uint64_t records) const noexcept { return records >= next_; }
  /// To be called when it has happened; what came late is made good.
  void move() noexcept { next_ += gap(); }

 private:
  std::uint64_t gap() noexcept { return 1 + random_.below(spread_); }

  Random& random_;
  std::uint32_t spread_ = 1;
  std::uint64_t next_ = UINT64_MAX;
};

class Generator {
 public:
  Generator(const Options& options, const Shape& shape, Sink& sink);
  Truth run();

 private:
  struct HeldRow {  // of one host and table: the step that was left out, and when it comes
    std::uint32_t step = kNever;
    std::uint32_t due = kNever;
  };

  void run_by_time();
  void run_by_series();
  void series_block(std::uint32_t host, std::uint32_t table, std::uint32_t first, std::uint32_t steps);
  void extras(std::uint32_t host, std::uint32_t table, std::uint32_t step);
  void slot(std::uint32_t host, std::uint32_t table, std::uint32_t step);
  void flush_held();
  void emit_new(std::uint32_t host, std::uint32_t table, std::uint32_t step);
  void emit_duplicate();
  void emit_bad(std::uint32_t host, std::uint32_t table, std::uint32_t step);
  void draw(Row& row);
  std::uint32_t draw_fields(std::uint32_t all);
  void change_values(Row& row);
  void write_record(const Row& row, std::uint32_t fields);
  void note_series(const Row& row, std::uint32_t fields, std::uint64_t records);
  void store_again(Row& stored, const Row& again, std::uint32_t fields);

  [[nodiscard]] bool full() const noexcept { return options_.rows != 0 && truth_.records() >= options_.rows; }
  [[nodiscard]] std::uint64_t left() const noexcept {
    return options_.rows == 0 ? UINT64_MAX : options_.rows - truth_.records();
  }
  [[nodiscard]] bool chosen(std::uint32_t table) const {
    return options_.measurement.empty() || shape_.tables[table].name == options_.measurement;
  }
  [[nodiscard]] std::uint64_t records_of(std::uint32_t table) const {
    return encoder_->record_per_field() ? shape_.tables[table].columns.size() : 1;
  }
  [[nodiscard]] std::size_t series(const Row& row) const noexcept {
    return (std::size_t{row.host} * shape_.tables.size() + row.table) * variants_ + row.missing_tag;
  }

  const Options& options_;
  const Shape& shape_;
  std::size_t variants_;
  Random random_;
  std::unique_ptr<Encoder> encoder_;
  TextBuffer out_;
  Truth truth_;
  Schedule late_;
  Schedule duplicate_;
  Schedule bad_;
  std::uint32_t steps_ = 0;  // 0: until the rows are written
  std::uint64_t slots_ = 0;  // rows thought of, for the share of late ones
  std::uint64_t held_records_ = 0;
  std::uint32_t longest_delay_ = kLatestSteps;
  std::vector<std::uint32_t> column_base_;  // [table]: its first walk in walks_
  std::uint32_t walks_per_host_ = 0;
  std::vector<std::int32_t> walks_;         // [host][column of all tables]
  std::vector<std::uint32_t> last_step_;    // [series], kNever: no row yet
  std::vector<std::uint16_t> seen_fields_;  // [series]
  std::vector<HeldRow> held_;               // [host][table]
  std::vector<Row> recent_;
  std::size_t next_recent_ = 0;
};

Generator::Generator(const Options& options, const Shape& shape, Sink& sink)
    : options_(options),
      shape_(shape),
      variants_(shape.sparse ? kTagVariants : 1),
      random_(options.seed),
      encoder_(Encoder::make(options, shape)),
      out_(sink),
      late_(options.disorder, random_),
      duplicate_(options.duplicates, random_),
      bad_(options.bad, random_) {
  if (options.duration.count() > 0) steps_ = static_cast<std::uint32_t>(options.duration / options.interval);
  for (const auto& table : shape.tables) {
    column_base_.push_back(walks_per_host_);
    walks_per_host_ += static_cast<std::uint32_t>(table.columns.size());
    truth_.tables.emplace_back().columns.resize(table.columns.size());
  }
  const std::size_t streams = std::size_t{options.hosts} * shape.tables.size();
  last_step_.assign(streams * variants_, kNever);
  seen_fields_.assign(streams * variants_, 0);
  if (options.disorder > 0) {
    held_.resize(streams);
    // A host holds one row at a time, so many late rows must be a little late only.
    longest_delay_ = static_cast<std::uint32_t>(std::clamp(1 / options.disorder - 1, 1.0, double{kLatestSteps}));
  }
  walks_.reserve(std::size_t{options.hosts} * walks_per_host_);
  for (std::uint32_t host = 0; host < options.hosts; ++host) {
    const std::size_t model = model_of(pick_tags(shape, options.seed, host));
    for (const auto& table : shape.tables)
      for (const auto& column : table.columns) {
        const auto span = static_cast<std::uint32_t>(column.high - column.low + 1);
        walks_.push_back(column.step == 0 ? column.fixed[model]
                                          : column.low + static_cast<std::int32_t>(random_.below(span)));
      }
  }
  const auto kinds = encoder_->bad_kinds();
  truth_.bad_kinds.assign(kinds.begin(), kinds.end());
  truth_.bad_by_kind.resize(kinds.size());
}

Truth Generator::run() {
  encoder_->begin(out_);
  if (options_.one_field_per_line) run_by_series();
  else run_by_time();
  encoder_->end(out_);
  out_.flush();
  truth_.bytes = out_.bytes();
  truth_.lines = truth_.records() + encoder_->extra_lines();
  for (std::size_t host = 0; host < options_.hosts; ++host) {
    const std::size_t many = shape_.tables.size() * variants_;
    for (std::size_t i = host * many; i < (host + 1) * many; ++i)
      if (last_step_[i] != kNever) {
        ++truth_.hosts;
        break;
      }
  }
  return std::move(truth_);
}

void Generator::run_by_time() {
  const auto tables = static_cast<std::uint32_t>(shape_.tables.size());
  for (std::uint32_t step = 0; (steps_ == 0 || step < steps_) && !full(); ++step)
    for (std::uint32_t host = 0; host < options_.hosts && !full(); ++host)
      for (std::uint32_t table = 0; table < tables && !full(); ++table) {
        if (!chosen(table)) continue;
        extras(host, table, step);
        if (!full()) slot(host, table, step);
      }
  flush_held();
}

// Bad and repeated records come between the others: they take the place of none.
void Generator::extras(std::uint32_t host, std::uint32_t table, std::uint32_t step) {
  for (bool more = true; more && !full();) {
    more = false;
    if (bad_.due(truth_.records())) {
      emit_bad(host, table, step);
      bad_.move();
      more = true;
    }
    if (!full() && !recent_.empty() && duplicate_.due(truth_.records())) {
      emit_duplicate();
      duplicate_.move();
      more = true;
    }
  }
}

void Generator::slot(std::uint32_t host, std::uint32_t table, std::uint32_t step) {
  ++slots_;
  if (!held_.empty()) {
    HeldRow& held = held_[std::size_t{host} * shape_.tables.size() + table];
    if (held.step == kNever && late_.due(slots_)) {
      // Held only when it is sure that a later row of this host still comes before it.
      const std::uint32_t delay = 1 + random_.below(longest_delay_);
      const std::uint64_t reserve = records_of(table);
      const std::uint64_t until_then = options_.hosts * shape_.tables.size() * reserve;
      if ((steps_ == 0 || step + 1 < steps_) && left() > held_records_ + reserve + until_then) {
        held = {step, step + delay};
        held_records_ += reserve;
        late_.move();
        return;
      }
    }
    emit_new(host, table, step);
    if (held.step != kNever && held.due <= step && !full()) {
      emit_new(host, table, held.step);
      held = {};
      held_records_ -= records_of(table);
    }
    if (options_.rows != 0 && held_records_ > 0 && left() <= held_records_ + records_of(table)) flush_held();
    return;
  }
  emit_new(host, table, step);
}

void Generator::flush_held() {
  held_records_ = 0;
  for (std::size_t i = 0; i < held_.size() && !full(); ++i)
    if (held_[i].step != kNever) {
      const auto tables = static_cast<std::uint32_t>(shape_.tables.size());
      emit_new(static_cast<std::uint32_t>(i) / tables, static_cast<std::uint32_t>(i) % tables, held_[i].step);
      held_[i] = {};
    }
}

void Generator::draw(Row& row) {
  const auto& columns = shape_.tables[row.table].columns;
  row.tags = pick_tags(shape_, options_.seed, row.host);
  std::int32_t* const walks = &walks_[std::size_t{row.host} * walks_per_host_ + column_base_[row.table]];
  // One number gives all columns their step: 16 of them would fit.
  static constexpr std::array<std::int8_t, 16> kSteps{-3, -2, -2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3};
  std::uint64_t bits = random_();
  for (std::size_t i = 0; i < columns.size(); ++i, bits >>= 4) {
    const std::int32_t moved = walks[i] + kSteps[bits & 15] * columns[i].step;
    if (columns[i].step != 0) walks[i] = std::min(std::max(moved, columns[i].low), columns[i].high);
    row.values[i] = walks[i];
  }
  row.fields = (1u << columns.size()) - 1;
  row.missing_tag = 0;
  if (shape_.sparse) {
    row.fields = draw_fields(row.fields);
    if (const auto dice = random_.below(256); dice < kTagVariants - 1) row.missing_tag = dice + 1;
  }
}

// One row of 16 lacks about half of its fields, but never all.
std::uint32_t Generator::draw_fields(std::uint32_t all) {
  const std::uint64_t bits = random_();
  if ((bits & 15) != 0) return all;
  const auto some = static_cast<std::uint32_t>(bits >> 4) & all;
  return some != 0 ? some : all;
}

// Text, truth and memory of one new key.
void Generator::emit_new(std::uint32_t host, std::uint32_t table, std::uint32_t step) {
  Row row;
  row.host = host;
  row.table = table;
  row.step = step;
  draw(row);
  if (encoder_->record_per_field())
    while (static_cast<std::uint64_t>(std::popcount(row.fields)) > left()) row.fields &= row.fields - 1;
  write_record(row, row.fields);
  auto& truth = truth_.tables[table];
  ++truth.distinct_keys;
  for (std::size_t i = 0; i < truth.columns.size(); ++i) {
    const bool given = (row.fields >> i & 1) != 0;
    truth.columns[i].stored += given;
    truth.columns[i].sum += given ? row.values[i] : 0;
  }
  if (options_.duplicates > 0) {
    if (recent_.size() < kRecentRows) {
      recent_.push_back(row);
    } else {
      recent_[next_recent_] = row;
      next_recent_ = (next_recent_ + 1) % kRecentRows;
    }
  }
}

void Generator::emit_duplicate() {
  Row& stored = recent_[random_.below(static_cast<std::uint32_t>(recent_.size()))];
  Row row = stored;
  const bool changed = (random_() & 1) != 0;
  if (changed) change_values(row);
  std::uint32_t fields = row.fields;
  if (encoder_->record_per_field()) {  // one record: one of the fields
    for (auto skip = random_.below(static_cast<std::uint32_t>(std::popcount(fields))); skip > 0; --skip)
      fields &= fields - 1;
    fields &= ~(fields - 1);
  } else if (changed && shape_.sparse) {
    fields = draw_fields((1u << shape_.tables[row.table].columns.size()) - 1);
  }
  ++truth_.duplicates;
  truth_.changed_duplicates += changed;
  write_record(row, fields);
  store_again(stored, row, fields);
}

void Generator::change_values(Row& row) {
  const auto& columns = shape_.tables[row.table].columns;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].step != 0)
      row.values[i] =
          columns[i].low +
          static_cast<std::int32_t>(random_.below(static_cast<std::uint32_t>(columns[i].high - columns[i].low + 1)));
}

// A later value wins; what is not given stays, but an empty cell of CSV is a NULL that wins too.
void Generator::store_again(Row& stored, const Row& again, std::uint32_t fields) {
  auto& columns = truth_.tables[stored.table].columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::uint32_t bit = 1u << i;
    const bool had = (stored.fields & bit) != 0;
    if ((fields & bit) != 0) {
      columns[i].stored += !had;
      columns[i].sum += again.values[i] - (had ? stored.values[i] : 0);
      stored.values[i] = again.values[i];
      stored.fields |= bit;
    } else if (had && options_.format == Format::csv) {
      --columns[i].stored;
      columns[i].sum -= stored.values[i];
      stored.fields &= ~bit;
    }
  }
}

void Generator::write_record(const Row& row, std::uint32_t fields) {
  encoder_->write(out_, row, fields);
  const auto records = encoder_->record_per_field() ? static_cast<std::uint64_t>(std::popcount(fields)) : 1;
  note_series(row, fields, records);
}

// Counts records of one child table at one time.
void Generator::note_series(const Row& row, std::uint32_t fields, std::uint64_t records) {
  auto& table = truth_.tables[row.table];
  truth_.good += records;
  table.records += records;
  const std::size_t at = series(row);
  if (last_step_[at] == kNever) {
    ++table.child_tables;
    last_step_[at] = row.step;
  } else if (row.step < last_step_[at]) {
    truth_.late += records;
  } else {
    last_step_[at] = row.step;
  }
  const std::uint32_t fresh = fields & ~std::uint32_t{seen_fields_[at]};
  seen_fields_[at] = static_cast<std::uint16_t>(seen_fields_[at] | fields);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    table.columns[i].records += fields >> i & 1;
    table.columns[i].child_tables += fresh >> i & 1;
  }
  truth_.first_step = std::min(truth_.first_step, row.step);
  truth_.last_step = std::max(truth_.last_step, row.step);
}

void Generator::emit_bad(std::uint32_t host, std::uint32_t table, std::uint32_t step) {
  Row row;
  row.host = host;
  row.table = table;
  row.step = step;
  row.tags = pick_tags(shape_, options_.seed, host);
  row.fields = 1;
  const auto kind = random_.below(static_cast<std::uint32_t>(truth_.bad_kinds.size()));
  encoder_->write_bad(out_, row, kind);
  ++truth_.bad;
  ++truth_.bad_by_kind[kind];
}

// As an export of a database goes: blocks of up to 1000 points; in them series by series, field by field, then time.
void Generator::run_by_series() {
  std::uint32_t steps = steps_;
  double per_step = 0;
  for (std::uint32_t t = 0; t < shape_.tables.size(); ++t)
    if (chosen(t)) per_step += static_cast<double>(shape_.tables[t].columns.size());
  if (steps == 0)
    steps = static_cast<std::uint32_t>(static_cast<double>(options_.rows) / (per_step * options_.hosts)) + 1;
  const std::uint32_t block = std::min<std::uint32_t>(steps, 1000);
  for (std::uint32_t first = 0; (steps_ == 0 || first < steps_) && !full(); first += block)
    for (std::uint32_t table = 0; table < shape_.tables.size() && !full(); ++table)
      for (std::uint32_t host = 0; chosen(table) && host < options_.hosts && !full(); ++host)
        series_block(host, table, first, steps_ == 0 ? block : std::min(block, steps_ - first));
}

void Generator::series_block(std::uint32_t host, std::uint32_t table, std::uint32_t first, std::uint32_t steps) {
  std::vector<Row> rows(steps);
  for (std::uint32_t i = 0; i < steps; ++i) {
    rows[i].host = host;
    rows[i].table = table;
    rows[i].step = first + i;
    draw(rows[i]);
    rows[i].missing_tag = rows[0].missing_tag;  // a tag is missing from a whole series
  }
  auto& truth = truth_.tables[table];
  std::vector<std::uint32_t> written(steps, 0);
  for (std::size_t column = 0; column < truth.columns.size() && !full(); ++column) {
    const std::uint32_t bit = 1u << column;
    std::vector<std::uint32_t> done;  // steps of this run, for duplicates
    std::uint32_t newest = 0;
    std::uint32_t held = kNever;
    const auto emit = [&](std::uint32_t i, bool again) {
      encoder_->write(out_, rows[i], bit);
      auto& counts = truth.columns[column];
      ++truth_.good;
      ++truth.records;
      ++counts.records;
      if (!done.empty() && rows[i].step < newest) ++truth_.late;
      newest = std::max(newest, rows[i].step);
      if (last_step_[series(rows[i])] == kNever) ++truth.child_tables;
      last_step_[series(rows[i])] = rows[i].step;
      if ((seen_fields_[series(rows[i])] & bit) == 0) ++counts.child_tables;
      seen_fields_[series(rows[i])] = static_cast<std::uint16_t>(seen_fields_[series(rows[i])] | bit);
      truth_.first_step = std::min(truth_.first_step, rows[i].step);
      truth_.last_step = std::max(truth_.last_step, rows[i].step);
      if (again) return;
      truth.distinct_keys += written[i] == 0;
      written[i] |= bit;
      ++counts.stored;
      counts.sum += rows[i].values[column];
      done.push_back(i);
    };
    for (std::uint32_t i = 0; i < steps && !full(); ++i) {
      if ((rows[i].fields & bit) == 0) continue;
      while (!full() && bad_.due(truth_.records())) {
        emit_bad(host, table, rows[i].step);
        bad_.move();
      }
      while (!full() && !done.empty() && duplicate_.due(truth_.records())) {
        const std::uint32_t repeated = done[random_.below(static_cast<std::uint32_t>(done.size()))];
        const bool changed = (random_() & 1) != 0;
        const std::int32_t before = rows[repeated].values[column];
        if (changed) change_values(rows[repeated]);
        // Other columns change too, but those before this one are written and counted, and those after it are not yet.
        truth.columns[column].sum += rows[repeated].values[column] - before;
        ++truth_.duplicates;
        truth_.changed_duplicates += changed;
        emit(repeated, true);
        duplicate_.move();
      }
      if (full()) break;
      ++slots_;
      if (held == kNever && options_.disorder > 0 && late_.due(slots_) && i + 1 < steps) {
        held = i;
        late_.move();
        continue;
      }
      emit(i, false);
      if (held != kNever && !full()) {
        emit(held, false);
        held = kNever;
      }
    }
    if (held != kNever && !full()) emit(held, false);
  }
}

}  // namespace

Truth generate(const Options& options, Sink& sink) {
  return Generator(options, *find_shape(options.shape), sink).run();
}

}  // namespace penstock::generator
