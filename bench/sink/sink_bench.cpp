// The gathering window and what is made of it, one thread, as one lane does it: rows of TSBS "cpu-only" lines.

#include <benchmark/benchmark.h>

#include <cstring>
#include <map>
#include <string>

#include "sink/request.h"
#include "support/line_shapes.h"
#include "support/loading.h"
#include "support/sources.h"
#include "wire/bytes.h"

namespace penstock::bench {
namespace {

/// Parsed rows of whole time steps, and what they must add up to.
class Rows {
 public:
  Rows(Shape shape, std::size_t count) {
    format::LineParser parser(loading.registry);
    // Chunk by chunk, so that the text need not lie in memory beside the rows.
    while (rows < count) {
      texts_.push_back(std::make_unique<std::string>());
      auto& text = *texts_.back();
      while (text.size() < kChunkBytes - 512 && rows < count) text += shape.record(rows++) + '\n';
      io::Chunk chunk;
      chunk.seq = parts_.size();
      chunk.offset = 1;
      const auto size = text.size();
      text.append(io::kPadding, '\0');
      chunk.text = std::string_view(text).substr(0, size);
      parts_.push_back(Loading::part(loading.take(parser, chunk)));
      for (const auto* row : parts_.back().rows) sum += row->slots()[0];
      text = std::string();  // only rejects would look at it
    }
  }
  /// A window with all of them.
  void fill(sink::Window& window) const {
    for (const auto& part : parts_) window.add(part);
  }

  Loading loading;
  std::size_t rows = 0;
  std::uint64_t sum = 0;  ///< of the first field

 private:
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<sink::Part> parts_;
};

const Rows& rows_of(Shape (*shape)(std::size_t), std::size_t children, std::size_t rows) {
  static std::map<std::pair<Shape (*)(std::size_t), std::size_t>, std::unique_ptr<Rows>> made;
  auto& found = made[{shape, children}];
  if (!found) {
    made.clear();  // one at a time
    made[{shape, children}] = std::make_unique<Rows>(shape(children), rows);
  }
  return *made[{shape, children}];
}

std::size_t row_count(std::size_t children) { return children >= 100'000 ? 10 * children : 200'000; }

bool grouped_well(const Rows& rows, sink::Window& window, std::size_t children) {
  std::uint64_t sum = 0;
  std::size_t runs = 0, count = 0;
  for (const auto& table : window.tables())
    for (const auto& run : table.runs) {
      ++runs;
      for (auto at = run.begin; at < run.end; ++at) {
        const auto& ref = window.rows()[at];
        if (ref.row->child != run.child->id) return false;
        sum += ref.row->slots()[0];
        ++count;
      }
    }
  return sum == rows.sum && count == rows.rows && runs == children;
}

/// Rows of many chunks to runs of child tables.
void BM_Window_group(benchmark::State& state, Shape (*shape)(std::size_t)) {
  const auto children = static_cast<std::size_t>(state.range(0));
  const auto& rows = rows_of(shape, children, row_count(children));
  sink::Window window(rows.loading.registry, 1);
  rows.fill(window);
  window.group();
  if (!grouped_well(rows, window, children)) return state.SkipWithError("the runs are wrong");
  const auto bytes = window.bytes();
  window.clear();
  for (auto unused : state) {
    rows.fill(window);
    window.group();
    benchmark::DoNotOptimize(window.rows().data());
    window.clear();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * rows.rows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

struct Sent {
  std::uint64_t bytes = 0, rows = 0, merged = 0, sum = 0;
};

template <class Look>
Sent build_all(sink::Window& window, wire::Stmt2Encoder& encoder, Look&& look) {
  const sink::WriteOptions options;
  sink::RequestPlanner planner(window, options);
  sink::RequestBuilder builder(window, options.precision);
  sink::Request request;
  Sent sent;
  while (planner.next(request)) {
    sent.merged += builder.build(request, encoder).merged_parts.size();
    sent.rows += request.rows;
    sent.bytes += encoder.bytes();
    look(request, encoder, sent);
  }
  return sent;
}

/// Reads the message back: the first field's record is the second of each table.
void add_up(wire::Stmt2Encoder& encoder, Sent& sent, std::size_t& rows) {
  const auto message = encoder.join(1, 1);
  const auto decoded = wire::decode_stmt2_bind(message);
  for (const auto& table : decoded->tables) {
    rows += table.columns[0].rows;
    table.columns[1].for_each([&](std::uint32_t, wire::CellState cell, std::string_view bytes) {
      if (cell == wire::CellState::value) sent.sum += wire::load<std::uint64_t>(bytes.data());
    });
  }
}

/// A grouped window to stmt2 messages; bytes are those of the messages. `known`: the child tables are known to exist.
void BM_Request_build(benchmark::State& state, Shape (*shape)(std::size_t), bool known) {
  const auto children = static_cast<std::size_t>(state.range(0));
  const auto& rows = rows_of(shape, children, row_count(children));
  sink::Window window(rows.loading.registry, 1);
  rows.fill(window);
  window.group();
  for (auto& table : window.tables())
    for (auto& run : table.runs) run.child->exists = known;
  wire::Stmt2Encoder encoder;
  std::size_t decoded = 0;
  const auto check = build_all(window, encoder, [&](const auto&, auto& message, Sent& sent) {
    message.parts(1, 1);
    add_up(message, sent, decoded);
  });
  if (check.rows != rows.rows || decoded + check.merged != rows.rows || (check.merged == 0 && check.sum != rows.sum))
    return state.SkipWithError("the messages are wrong");
  std::uint64_t bytes = 0;
  for (auto unused : state)
    bytes += build_all(window, encoder, [](const auto&, auto& message, const Sent&) {
               benchmark::DoNotOptimize(message.parts(1, 1));
             }).bytes;
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * rows.rows));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

/// Both: what a lane does between two answers of the server. Bytes are those of the messages.
void BM_Rows_to_messages(benchmark::State& state, Shape (*shape)(std::size_t)) {
  const auto children = static_cast<std::size_t>(state.range(0));
  const auto& rows = rows_of(shape, children, row_count(children));
  sink::Window window(rows.loading.registry, 1);
  rows.fill(window);
  window.group();
  for (auto& table : window.tables())
    for (auto& run : table.runs) run.child->exists = true;
  window.clear();
  wire::Stmt2Encoder encoder;
  std::uint64_t bytes = 0;
  for (auto unused : state) {
    rows.fill(window);
    window.group();
    const auto sent = build_all(window, encoder, [](const auto&, auto& message, const Sent&) {
      benchmark::DoNotOptimize(message.parts(1, 1));
    });
    if (sent.rows != rows.rows) return state.SkipWithError("rows are missing");
    bytes += sent.bytes;
    window.clear();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * rows.rows));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

// In the order in which their rows are made, so that each is made once.
#define PENSTOCK_SINK_BENCHES(name, shape, children)                                                            \
  BENCHMARK_CAPTURE(BM_Window_group, name, shape)->Arg(children)->Unit(benchmark::kMillisecond);                \
  BENCHMARK_CAPTURE(BM_Request_build, name##_new, shape, false)->Arg(children)->Unit(benchmark::kMillisecond);  \
  BENCHMARK_CAPTURE(BM_Request_build, name##_known, shape, true)->Arg(children)->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(BM_Rows_to_messages, name, shape)->Arg(children)->Unit(benchmark::kMillisecond)

PENSTOCK_SINK_BENCHES(ordered_1k, cpu, 1'000);
PENSTOCK_SINK_BENCHES(disordered_1k, cpu_disordered, 1'000);
PENSTOCK_SINK_BENCHES(newest_first_1k, cpu_newest_first, 1'000);
PENSTOCK_SINK_BENCHES(ordered_100k, cpu, 100'000);
PENSTOCK_SINK_BENCHES(disordered_100k, cpu_disordered, 100'000);
PENSTOCK_SINK_BENCHES(newest_first_100k, cpu_newest_first, 100'000);

}  // namespace
}  // namespace penstock::bench
