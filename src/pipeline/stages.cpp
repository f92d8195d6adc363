#include "pipeline/stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace penstock::pipeline {

std::unique_ptr<format::Parser> ParserPool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto parser = std::move(idle_.back());
      idle_.pop_back();
      return parser;
    }
  }
  return make_();
}

void ParserPool::give_back(std::unique_ptr<format::Parser> parser) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(parser));
}

namespace {

// With a few rejects in every chunk this goes over all of the input. Sums of bytes make vector code of the loop where
// std::count widens every comparison to 64 bits.
std::uint64_t count_newlines(std::string_view text) noexcept {
  constexpr std::size_t kLanes = 32;
  constexpr std::size_t kMostRounds = 255;  // a lane holds no more
  std::uint64_t count = 0;
  while (text.size() >= kLanes) {
    const auto rounds = std::min(kMostRounds, text.size() / kLanes);
    unsigned char sums[kLanes] = {};
    for (std::size_t round = 0; round < rounds; ++round)
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        sums[lane] = static_cast<unsigned char>(sums[lane] + (text[round * kLanes + lane] == '\n' ? 1 : 0));
    for (const auto sum : sums) count += sum;
    text.remove_prefix(rounds * kLanes);
  }
  return count + static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

std::uint64_t line_of(const sink::ParsedChunk& chunk, std::uint32_t offset) {
  return chunk.first_line + count_newlines(chunk.chunk.text.substr(0, offset));
}

std::int64_t Instant::rounded_up(data::Precision unit) const noexcept {
  const auto per_second = data::units_per_second(unit);
  const auto unit_ns = 1'000'000'000 / per_second;
  std::int64_t time = 0;
  if (__builtin_mul_overflow(seconds, per_second, &time) ||
      __builtin_add_overflow(time, (nanoseconds + unit_ns - 1) / unit_ns, &time))
    return seconds < 0 ? INT64_MIN : INT64_MAX;
  return time;
}

bool ReadStage::open_next() {
  while (index_ < plan_.inputs.size()) {
    const auto source = index_++;
    try {
      source_ = plan_.open(plan_.inputs[source], source);
      filter_ = source_.filter ? std::make_shared<const RowFilter>(std::move(source_.filter)) : nullptr;
      ends_[source].format = source_.format;
      ends_[source].compression = io::to_string(source_.reader->compression());
      plan_.rejects->describe(source, source_.reject_header, source_.reject_extension, source_.load_with,
                              source_.reject_mapping);
      return true;
    } catch (const Error& error) {
      if (error.code() != Errc::io) throw;
      ends_[source].error = error.what();
    }
  }
  return false;
}

void ReadStage::learn(std::size_t text_bytes, std::size_t row_bytes) noexcept {
  learned_text_.fetch_add(text_bytes, std::memory_order_relaxed);
  learned_rows_.fetch_add(row_bytes, std::memory_order_relaxed);
}

// Null: a stop was asked for while it waited for lanes or memory.
std::unique_ptr<Work> ReadStage::begin_work(const std::stop_token& stop) {
  if (plan_.lanes != nullptr && !plan_.lanes->wait_for_room(stop)) return nullptr;
  auto work = std::make_unique<Work>();
  // What the rows of a chunk will take is guessed from the chunks so far and held back beforehand: memory is waited
  // for here and nowhere else.
  const double ratio = static_cast<double>(learned_rows_.load(std::memory_order_relaxed)) /
                       static_cast<double>(learned_text_.load(std::memory_order_relaxed));
  work->reserved =
      std::min(static_cast<std::size_t>(static_cast<double>(plan_.chunk_bytes) * std::clamp(ratio, 0.1, 20.0)),
               plan_.budget->limit() / 4);
  // With no chunk under way, what is in use are the buffers that the reader filled ahead: they wait for this call.
  const auto hopeless = [this] { return under_way_->load() == 0; };
  if (!plan_.budget->acquire(work->reserved, stop, hopeless)) return nullptr;
  work->chunk = std::make_shared<sink::ParsedChunk>(plan_.budget);
  ++*under_way_;
  work->chunk->under_way = std::shared_ptr<const void>(nullptr, [count = under_way_](const void*) { --*count; });
  return work;
}

std::unique_ptr<Work> ReadStage::next_fed(const std::stop_token& stop) {
  auto work = begin_work(stop);
  if (!work) return nullptr;
  Feed::Reading reading;
  bool more = false;
  try {
    more = plan_.feed->next(work->chunk->chunk, reading, stop);
  } catch (...) {
    plan_.budget->release(work->reserved);
    throw;
  }
  if (!more) {
    plan_.budget->release(work->reserved);
    return nullptr;
  }
  plan_.counters->bytes_read.fetch_add(work->chunk->chunk.text.size(), std::memory_order_relaxed);
  work->parsers = std::move(reading.parsers);
  work->filter = std::move(reading.filter);
  return work;
}

std::unique_ptr<Work> ReadStage::next(const std::stop_token& stop) {
  if (plan_.feed != nullptr) return stop.stop_requested() ? nullptr : next_fed(stop);
  for (;;) {
    if (stop.stop_requested()) return nullptr;
    if (!source_.reader && !open_next()) return nullptr;
    const auto source = index_ - 1;
    auto work = begin_work(stop);
    if (!work) return nullptr;
    bool more = false;
    {
      const report::Busy busy(*plan_.counters, report::Stage::read);
      try {
        more = source_.reader->next(work->chunk->chunk, stop);
      } catch (const Error& error) {
        if (error.code() != Errc::io) {
          plan_.budget->release(work->reserved);
          throw;
        }
        ends_[source].error = error.what();
      }
    }
    plan_.counters->bytes_read.store(bytes_before_ + source_.reader->source_bytes_read(), std::memory_order_relaxed);
    if (more) {
      work->chunk->chunk.seq = seq_++;
      work->chunk->chunk.source = source;
      work->parsers = source_.parsers;
      work->filter = filter_;
      return work;
    }
    plan_.budget->release(work->reserved);
    if (stop.stop_requested()) return nullptr;
    bytes_before_ += source_.reader->source_bytes_read();
    if (ends_[source].error.empty()) plan_.ledger->finish(source, seq_);
    source_ = {};
  }
}

void leave_out_by_time(const Selection& selection, data::RowSet& rows) {
  if (!selection.since && !selection.until) return;
  const auto first = selection.since ? selection.since->rounded_up(rows.time_unit()) : INT64_MIN;
  const auto end = selection.until ? selection.until->rounded_up(rows.time_unit()) : INT64_MAX;
  rows.leave_out_rows([&](const data::Row& row) { return row.time < first || row.time >= end; });
}

namespace {

// In the order of the text, with the lines before them: counted here because many can count at once.
void number_rejects(const io::Chunk& chunk, data::RowSet& rows) {
  auto& rejects = rows.rejects();
  const auto before = [](const data::Reject& a, const data::Reject& b) { return a.offset < b.offset; };
  if (!std::is_sorted(rejects.begin(), rejects.end(), before)) std::stable_sort(rejects.begin(), rejects.end(), before);
  std::uint32_t line = 1;
  std::uint32_t counted = 0;
  for (auto& reject : rejects) {
    line += static_cast<std::uint32_t>(count_newlines(chunk.text.substr(counted, reject.offset - counted)));
    counted = reject.offset;
    reject.line = line;
  }
}

}  // namespace

void parse(const RunPlan& plan, Work& work) {
  auto& chunk = *work.chunk;
  if (!chunk.chunk.oversized && !chunk.chunk.broken_quote) {
    const report::Busy busy(*plan.counters, report::Stage::parse);
    auto parser = work.parsers->take();
    {
      // What waits for the server needs the text for rejects only; lines that are forwarded as they are need it all.
      if (plan.growth == nullptr) chunk.chunk.read = {};
      const io::Chunk passed = plan.growth != nullptr ? io::for_one_pass(chunk.chunk) : chunk.chunk;
      parser->parse(passed, chunk.rows);
      number_rejects(passed, chunk.rows);
    }
    work.parsers->give_back(std::move(parser));
    leave_out_by_time(plan.selection, chunk.rows);
    if (io::damaged(chunk.chunk)) {
      work.damaged = true;
    } else if (plan.lanes != nullptr) {
      const auto lanes = plan.lanes->size();
      work.by_lane.resize(lanes);
      // A little more than the share, for a vector that grows doubles.
      const auto share = chunk.rows.row_count() / lanes;
      for (auto& rows : work.by_lane) rows.reserve(share + share / 16 + 16);
      chunk.rows.for_each_row([&](data::Row& row) {
        if (row.shape != data::kRefusedShape) work.by_lane[row.child % lanes].push_back(&row);
      });
      std::size_t pointers = 0;
      for (const auto& rows : work.by_lane) pointers += rows.capacity();
      chunk.rows.charge(pointers * sizeof(data::Row*));
    }
  }
  plan.budget->release(work.reserved);
  work.reserved = 0;
}

// Sources may be added while the run goes on, and begin behind what an earlier run has settled.
std::uint64_t& DispatchStage::next_line(std::uint32_t source) {
  if (source >= next_line_.size()) next_line_.resize(source + std::size_t{1});
  auto& line = next_line_[source];
  if (line == 0) line = plan_.ledger->settled(source).lines + 1;
  return line;
}

void DispatchStage::take_oversized(sink::ParsedChunk& chunk) {
  const auto source = chunk.chunk.source;
  const auto begin = oversized_.try_emplace(source, chunk.chunk.offset).first->second;
  std::string_view piece = chunk.chunk.text;
  if (!chunk.chunk.oversized_end) {
    plan_.rejects->put_piece(source, piece);
    plan_.ledger->open(chunk.chunk.seq, source, begin, 0, 0, 0, piece.size());
    return;
  }
  oversized_.erase(source);
  if (piece.ends_with('\n')) piece.remove_suffix(1);
  const auto end = chunk.chunk.offset + chunk.chunk.text.size();
  plan_.counters->rows_read.fetch_add(1, std::memory_order_relaxed);
  plan_.counters->rows_rejected.fetch_add(1, std::memory_order_relaxed);
  if (limit_ != UINT64_MAX) --limit_;
  const auto reason = fmt::format("the record is {} bytes long, more than --max-record allows", end - begin);
  std::exception_ptr failure;
  try {
    plan_.rejects->add({source, next_line(source), begin, 0, 0, false, reason, piece, {}, true});
  } catch (...) {
    failure = std::current_exception();
  }
  plan_.ledger->open(chunk.chunk.seq, source, end, failure ? 1 : 0, 1, failure ? 0 : 1, piece.size(), 0, 1);
  ++next_line(source);
  if (failure) std::rethrow_exception(failure);
  plan_.rejects->check_limits(plan_.counters->rows_read.load(std::memory_order_relaxed));
}

// Returns how many the books have; a file that cannot be written ends the run after the chunk is in the ledger.
std::size_t DispatchStage::write_rejects(sink::ParsedChunk& chunk, std::exception_ptr& failure) {
  const auto& rejects = chunk.rows.rejects();
  std::uint64_t line = 0;
  std::uint32_t counted = 0;
  std::size_t done = 0;
  try {
    // The ledger has all of them, so all of them go to the file, also when the limit is among them.
    for (const auto& reject : rejects) {
      // Those of the schema stage were not counted by the workers.
      if (reject.line > 0) line = reject.line - 1;
      else line += count_newlines(chunk.chunk.text.substr(counted, reject.offset - counted));
      counted = reject.offset;
      plan_.rejects->add({chunk.chunk.source, chunk.first_line + line, chunk.chunk.offset + reject.offset,
                          reject.column, reject.reason.code, false, reject.reason.text,
                          chunk.chunk.text.substr(reject.offset, reject.length), chunk.rows.head_of(reject.offset)});
      ++done;
    }
  } catch (...) {
    failure = std::current_exception();
  }
  return done;
}

// Takes all rows out, without a reject, from the first row on whose child table is one too many. Returns how many.
std::size_t DispatchStage::drop_past_child_limit(data::RowSet& rows) {
  std::optional<std::uint32_t> from;
  for (const auto& [series, row] : rows.fresh()) {
    if (row->shape == data::kRefusedShape || series->child->created_by == nullptr) continue;
    const auto id = series->child->id;
    if (id >= counted_.size()) counted_.resize(std::max<std::size_t>(id + 1, counted_.size() * 2));
    if (counted_[id]) continue;
    if (children_ == plan_.max_child_tables) {
      from = row->offset;
      break;
    }
    counted_[id] = true;
    ++children_;
  }
  if (!from) return 0;
  std::size_t dropped = 0;
  rows.for_each_row([&](data::Row& row) {
    if (row.shape == data::kRefusedShape || row.offset < *from) return;
    rows.refuse(row);
    ++dropped;
  });
  return dropped;
}

void DispatchStage::leave_out(Work& work) {
  auto& rows = work.chunk->rows;
  const auto before = rows.left_out();
  if (work.filter) (*work.filter)(work.chunk->chunk, rows);
  if (limit_ != UINT64_MAX) {
    const auto wanted = rows.record_count() - rows.left_out();
    if (wanted <= limit_) {
      limit_ -= wanted;
    } else {
      // Where the last record that is wanted stands, rows and rejects together.
      std::vector<std::uint32_t> offsets;
      offsets.reserve(wanted);
      rows.for_each_row([&](const data::Row& row) {
        if (row.shape != data::kRefusedShape) offsets.push_back(row.offset);
      });
      for (const auto& reject : rows.rejects()) offsets.push_back(reject.offset);
      const auto end = offsets.begin() + static_cast<std::ptrdiff_t>(limit_);
      std::nth_element(offsets.begin(), end, offsets.end());
      const auto from = *end;
      rows.leave_out_rows([&](const data::Row& row) { return row.offset >= from; });
      rows.leave_out_rejects([&](const data::Reject& reject) { return reject.offset >= from; });
      limit_ = 0;
    }
  }
  if (rows.left_out() == before) return;
  for (auto& lane : work.by_lane)
    std::erase_if(lane, [](const data::Row* row) { return row->shape == data::kRefusedShape; });
}

void DispatchStage::take(Work& work) {
  auto& chunk = *work.chunk;
  const auto source = chunk.chunk.source;
  auto& counters = *plan_.counters;
  counters.text_bytes.fetch_add(chunk.chunk.text.size(), std::memory_order_relaxed);
  // One source after the other: the one before it ended in the middle of an oversized record.
  if (plan_.feed == nullptr && !oversized_.empty() && oversized_.begin()->first != source) {
    plan_.rejects->drop_pieces();
    oversized_.clear();
  }
  if (chunk.chunk.oversized) {
    take_oversized(chunk);
    return;
  }
  // The reader's next() tells the user; here only no row of it may count, nor of what a faster worker read behind it.
  if (work.damaged && damaged_source_ != source) {
    damaged_source_ = source;
    damaged_from_ = chunk.chunk.offset;
  }
  if (damaged_source_ == source) {
    plan_.ledger->open(chunk.chunk.seq, source, damaged_from_, 0, 0, 0, 0);
    return;
  }
  if (chunk.chunk.broken_quote) {
    std::string_view line = chunk.chunk.text;
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    chunk.rows.reject({0,
                       static_cast<std::uint32_t>(line.size()),
                       0,
                       {0, "a quote opens in this line and does not close within --max-record"}});
    chunk.rows.set_lines(1);
    log(LogLevel::warning, fmt::format("{}:{}: a quote opens that does not close; only this line is rejected",
                                       plan_.name_of(source), next_line(source)));
  }
  chunk.first_line = next_line(source);
  next_line(source) += chunk.rows.lines();
  leave_out(work);
  // Rejects of the parser and of the schema stage alike were read as rows.
  const auto read = chunk.rows.record_count();
  const auto left_out = chunk.rows.left_out();
  counters.rows_left_out.fetch_add(left_out, std::memory_order_relaxed);
  counters.rows_read.fetch_add(read, std::memory_order_relaxed);
  if (plan_.growth != nullptr) {
    const report::Busy busy(counters, report::Stage::schema);
    plan_.growth->admit(chunk.rows);
    for (const auto& shape : chunk.rows.shapes()) {
      if (shape.resolved == nullptr) continue;
      const auto& version = shape.resolved->table->version;
      if (std::find(chunk.versions.begin(), chunk.versions.end(), version) == chunk.versions.end())
        chunk.versions.push_back(version);
    }
  }
  const auto dropped = plan_.growth != nullptr ? drop_past_child_limit(chunk.rows) : 0;
  if (dropped > 0)
    for (auto& lane : work.by_lane)
      std::erase_if(lane, [](const data::Row* row) { return row->shape == data::kRefusedShape; });
  std::exception_ptr failure;
  const auto rejected = write_rejects(chunk, failure);
  counters.rows_rejected.fetch_add(rejected, std::memory_order_relaxed);
  std::uint32_t parts = 0;
  for (const auto& rows : work.by_lane) parts += !rows.empty();
  // What is not done keeps the chunk open: the source is not settled past it.
  if (dropped > 0 || failure) ++parts;
  plan_.ledger->open(chunk.chunk.seq, source, chunk.chunk.offset + chunk.chunk.text.size(), parts, read, rejected,
                     chunk.chunk.text.size(), left_out, chunk.rows.lines());
  if (failure) std::rethrow_exception(failure);
  std::exception_ptr limit;
  try {
    if (rejected > 0) plan_.rejects->check_limits(counters.rows_read.load(std::memory_order_relaxed));
    if (dropped > 0)
      throw Error(Errc::limit,
                  fmt::format("the input has more than {} child tables (at {}:{}). Raise --max-child-tables if it "
                              "really has that many series, or look for a tag whose value differs from row to row",
                              format_count(plan_.max_child_tables), plan_.name_of(source), chunk.first_line));
  } catch (const Error&) {
    limit = std::current_exception();
  }
  if (plan_.look) plan_.look(chunk);
  for (std::uint32_t lane = 0; lane < work.by_lane.size(); ++lane)
    if (!work.by_lane[lane].empty()) plan_.lanes->push(lane, {work.chunk, std::move(work.by_lane[lane])});
  if (limit) std::rethrow_exception(limit);
}

}  // namespace penstock::pipeline
