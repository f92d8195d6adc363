#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/memory_budget.h"
#include "cli/sources.h"
#include "data/row_set.h"
#include "io/input.h"
#include "pipeline/run.h"
#include "rivals/measure.h"
#include "schema/registry.h"
#include "sink/memory_catalog.h"

/// A file to rows with the readers and parsers of `penstock load`, and nothing behind them:
///   parse_file FILE COLUMN [--format F] [--tags A,B] [--threads N] [--from memory|file]
/// `memory`: the chunks lie cut in memory and only the parsing is timed. `file`: the file in the page cache is mapped
/// and cut as well. Guessing the format and the types of CSV is timed in neither.
namespace penstock::rivals {
namespace {

struct Task {
  io::Input input;
  std::string column;
  cli::SourceOptions options;
  unsigned threads = 1;
  bool from_file = false;
};

double value_of(data::Type type, data::Slot slot) {
  switch (type) {
    case data::Type::float64: return std::bit_cast<double>(slot);
    case data::Type::float32: return std::bit_cast<float>(static_cast<std::uint32_t>(slot));
    default: return static_cast<double>(static_cast<std::int64_t>(slot));
  }
}

double sum_of(data::RowSet& rows, std::string_view column) {
  constexpr auto kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> fields;  // [shapes] where the column is
  for (const auto& shape : rows.shapes()) {
    fields.push_back(kNone);
    for (std::size_t f = 0; f < shape.fields.size(); ++f)
      if (shape.fields[f].name == column) fields.back() = f;
  }
  double sum = 0;
  rows.for_each_row([&](const data::Row& row) {
    const auto field = fields[row.shape];
    if (field == kNone) return;
    const auto& shape = rows.shapes()[row.shape];
    if (shape.nullable && data::Shape::is_null(row, shape.fields.size(), field)) return;
    sum += value_of(shape.fields[field].type, row.slots()[field]);
  });
  return sum;
}

/// One pass over the source with everything made anew, as a load begins.
class Pass {
 public:
  explicit Pass(const Task& task) : task_(task), opener_(task.options, registry_, &budget_) {
    cli::TargetTimes times;
    times.precision = opener_.probe(task.input);
    opener_.set_target(times, catalog_);
    source_ = opener_.open(task.input, 0);
  }

  /// All chunks of the source, which then stays in memory for as long as they do.
  std::vector<io::Chunk> chunks() {
    std::vector<io::Chunk> all;
    for (io::Chunk chunk; source_.reader->next(chunk, {}); chunk = {}) {
      chunk.read = {};
      all.push_back(std::move(chunk));
    }
    return all;
  }

  /// Parses `chunks`, or the source where there are none. The sum is taken only if `summed`.
  Found run(const std::vector<io::Chunk>& chunks, bool summed) {
    const auto work = [&] {
      auto parser = source_.parsers->take();
      Found found;
      for (io::Chunk chunk; next(chunks, chunk);) {
        data::RowSet rows(&budget_);
        parser->parse(chunks.empty() ? io::for_one_pass(chunk) : chunk, rows);
        if (!rows.rejects().empty()) throw std::runtime_error(rows.rejects().front().reason.text);
        // What the schema stage does, so that known series take the fast path.
        for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
        found.rows += rows.row_count();
        if (summed) found.sum += sum_of(rows, task_.column);
      }
      const std::lock_guard lock(mutex_);
      total_.rows += found.rows;
      total_.sum += found.sum;
    };
    std::vector<std::jthread> others;
    for (unsigned t = 1; t < task_.threads; ++t) others.emplace_back(work);
    work();
    others.clear();
    return total_;
  }

 private:
  bool next(const std::vector<io::Chunk>& chunks, io::Chunk& chunk) {
    if (!chunks.empty()) {
      const auto at = next_chunk_.fetch_add(1);
      if (at < chunks.size()) chunk = chunks[at];
      return at < chunks.size();
    }
    const std::lock_guard lock(mutex_);
    if (!source_.reader->next(chunk, {})) return false;
    chunk.seq = seq_++;
    return true;
  }

  const Task& task_;
  MemoryBudget budget_{std::size_t{1} << 30};
  schema::Registry registry_;
  sink::MemoryCatalog catalog_;
  cli::SourceOpener opener_;
  pipeline::OpenedSource source_;
  std::mutex mutex_;
  std::uint64_t seq_ = 0;
  std::atomic<std::size_t> next_chunk_{0};
  Found total_;
};

void measure(const Task& task) {
  std::vector<io::Chunk> chunks;
  std::unique_ptr<Pass> holder;
  if (!task.from_file) {
    holder = std::make_unique<Pass>(task);
    chunks = holder->chunks();
  }
  const auto expected = Pass(task).run(chunks, true);
  Pass pass(task);
  const Stopwatch watch;
  const auto found = pass.run(chunks, false);
  const auto seconds = watch.seconds();
  const auto cpu_seconds = watch.cpu_seconds();
  if (found.rows != expected.rows) throw std::runtime_error("two passes over the same file gave other rows");
  print(expected, seconds, cpu_seconds);
}

Task task_of(std::vector<std::string> arguments) {
  Task task;
  std::vector<std::string> places;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& flag = arguments[i];
    if (flag.rfind("--", 0) != 0) {
      places.push_back(flag);
      continue;
    }
    if (++i == arguments.size()) throw std::runtime_error(flag + " wants a value");
    const auto& value = arguments[i];
    if (flag == "--threads") task.threads = static_cast<unsigned>(std::stoul(value));
    else if (flag == "--from") task.from_file = value == "file";
    else if (flag == "--format") task.options.format = format::format_from_name(value);
    else if (flag == "--tags") {
      for (std::size_t at = 0; at <= value.size();) {
        const auto end = std::min(value.find(',', at), value.size());
        task.options.mapping.tags.push_back(value.substr(at, end - at));
        at = end + 1;
      }
    } else throw std::runtime_error("unknown flag " + flag);
  }
  if (places.size() != 2) throw std::runtime_error("give a file and a column");
  const auto inputs = io::expand_inputs(std::vector<std::string>{places[0]});
  task.input = inputs.front();
  task.column = places[1];
  return task;
}

}  // namespace
}  // namespace penstock::rivals

int main(int count, char** arguments) {
  try {
    penstock::rivals::measure(penstock::rivals::task_of({arguments + 1, arguments + count}));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "parse_file: " << error.what() << "\n";
    return 1;
  }
}
