#include "cli/bench_write.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "cli/bench_flags.h"
#include "cli/bench_paths.h"
#include "cli/bench_scratch.h"
#include "cli/bench_write_report.h"
#include "cli/exit_status.h"
#include "cli/secrets.h"
#include "cli/signals.h"
#include "cli/target.h"
#include "cli/writing_flags.h"
#include "sink/memory_catalog.h"
#include "sink/server_catalog.h"
#include "sink/target_state.h"

namespace penstock::cli {
namespace {

// Rows kept as text, some 100 MB; more are made of them.
constexpr std::uint64_t kMostGenerated = 300'000;
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

struct WriteFlags {
  BenchFlags bench;
  TargetFlags target;
  std::vector<std::string> to;
  std::vector<std::string> paths;
  std::vector<unsigned> lanes;
  std::vector<unsigned> batch_rows;
  std::vector<std::string> rows_per_table;
  std::string duration;
  std::string retry_for = "10s";
  std::string database = "penstock_bench";
  unsigned vgroups = 0;
  bool keep_data = false;
  bool sweep = false;
  bool quiet = false;
};

std::vector<std::uint32_t> windows_of(const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> windows;
  for (const auto& text : texts) {
    if (text == "load") {
      windows.push_back(0);
      continue;
    }
    const auto rows = parse_size(text, 1000);
    if (!rows || *rows == 0 || *rows > data::Limits::rows_per_table)
      throw Error(Errc::config, fmt::format("--rows-per-table {}: numbers from 1 to {}, or load", printable(text),
                                            data::Limits::rows_per_table));
    windows.push_back(static_cast<std::uint32_t>(*rows));
  }
  return windows;
}

template <class T>
void put_first(std::vector<T>& values, T value) {
  std::erase(values, value);
  values.insert(values.begin(), value);
}

class BenchWrite {
 public:
  explicit BenchWrite(const WriteFlags& flags) : flags_(flags), plan_(to_plan(loads_flags(flags))) {
    for (const auto lanes : flags.lanes)
      if (lanes == 0 || lanes > 1024) throw Error(Errc::config, fmt::format("--lanes {}: from 1 to 1024", lanes));
    for (const auto rows : flags.batch_rows)
      if (rows == 0) throw Error(Errc::config, "--batch-rows 0: a request holds at least one row");
    make_settings();
    if (!flags.duration.empty()) time_ = duration_flag("--duration", flags.duration);
    else if (flags.bench.rows.empty()) time_ = std::chrono::seconds(flags.sweep ? 3 : 5);
    if (time_ && time_->count() <= 0) throw Error(Errc::config, "--duration 0: a run needs some time");
    rounds_ = flags.bench.rounds;
    open_targets();
    input_ =
        bench_input(flags.bench, UINT64_MAX, std::max(kMostGenerated, 2 * std::uint64_t{flags.bench.child_tables}));
    if (input_.generated && input_.rows.rows == UINT64_MAX) input_.what += ", again and again with later times";
    precision_ = data::precision_from_name(flags.bench.precision).value_or(needed_precision(input_.rows));
  }

  int run() {
    const SignalGuard signals(stop_);
    for (auto& target : targets_)
      if (!target->is_null())
        scratches_.push_back(std::make_unique<ScratchDatabase>(
            target->options(),
            ScratchDatabase::Settings{flags_.database, precision_, flags_.vgroups, flags_.keep_data}));
      else scratches_.push_back(nullptr);
    make_report();
    std::size_t done = 0;
    for (unsigned round = 0; round < rounds_; ++round)
      for (auto& line : report_.lines) {
        if (stop_.stop_requested()) break;
        ++done;
        if (!line.left_out.empty()) continue;
        measure(line);
        if (stop_.stop_requested()) {
          if (!line.runs.empty()) line.runs.pop_back();
          break;
        }
        tell(line, done);
      }
    check_counts();
    int status = exit_status();
    // Before the table, so that whoever reads the table can go.
    scratches_.clear();
    if (stop_.stop_requested()) {
      fmt::print(stderr, "penstock: interrupted{}\n", flags_.keep_data ? "" : "; the scratch database is dropped");
      status = SignalGuard::received() == SIGTERM ? kTerminated : kInterrupted;
      if (std::none_of(report_.lines.begin(), report_.lines.end(), [](const auto& line) { return line.measured(); }))
        return status;
    }
    return std::max(status, show_bench(flags_.bench, to_text(report_), to_json(report_)));
  }

 private:
  // As `load` without flags would have them, but for those that are given here.
  static WritingFlags loads_flags(const WriteFlags& flags) {
    WritingFlags writing;
    writing.threads = flags.bench.threads;
    writing.memory = flags.bench.memory;
    writing.retry_for = flags.retry_for;
    return writing;
  }

  void make_settings() {
    auto lanes = flags_.lanes;
    auto batch_rows = flags_.batch_rows;
    auto windows = windows_of(flags_.rows_per_table);
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    const unsigned loads_lanes = plan_.lanes;
    if (flags_.sweep) {
      if (lanes.empty()) lanes = {1, std::max(2u, cores), 2 * std::max(2u, cores)};
      if (batch_rows.empty()) batch_rows = {5'000};
      if (windows.empty()) windows = {10, 100};
      // What `load` does comes first: the others are held against it.
      put_first(lanes, loads_lanes);
      put_first(batch_rows, plan_.write.batch_rows);
      put_first(windows, 0u);
    }
    if (lanes.empty()) lanes = {loads_lanes};
    if (batch_rows.empty()) batch_rows = {plan_.write.batch_rows};
    if (windows.empty()) windows = {0};
    for (const auto lane : lanes)
      for (const auto rows : batch_rows)
        for (const auto window : windows) settings_.push_back({lane, rows, window});
  }

  void open_targets() {
    for (const auto& to : flags_.to) {
      auto flags = flags_.target;
      flags.to = to;
      auto target = Target::resolve(flags);
      if (!target->is_null() && !to.starts_with("sandbox:") && !target->options().database.empty())
        throw Error(Errc::config,
                    fmt::format("--to {}: bench write makes a database of its own (--database {}); leave '{}' out",
                                redact(to), flags_.database, target->options().database));
      targets_.push_back(std::move(target));
    }
  }

  [[nodiscard]] std::vector<std::string> wanted_paths() const {
    if (!flags_.paths.empty() || !flags_.sweep) return flags_.paths;
    return {"stmt"};
  }

  void make_report() {
    report_.input = input_.what;
    report_.database = flags_.database;
    report_.precision = data::precision_name(precision_);
    report_.rounds = rounds_;
    report_.loads_own = {plan_.lanes, plan_.write.batch_rows, 0};
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      report_.targets.push_back({targets_[i]->display(), scratches_[i] ? scratches_[i]->server_version() : ""});
      const auto paths = paths_of(*targets_[i], wanted_paths());
      if (paths.empty())
        throw Error(Errc::config, fmt::format("--paths {}: {} has none of these ways", fmt::join(wanted_paths(), ","),
                                              targets_[i]->display()));
      for (const auto& path : paths) {
        std::vector<WriteSetting> seen;
        for (auto setting : settings_) {
          // What is forwarded goes in the order of the input.
          if (path.forwards()) setting.rows_per_table = 0;
          if (std::find(seen.begin(), seen.end(), setting) != seen.end()) continue;
          seen.push_back(setting);
          WriteLine line;
          line.target = i;
          line.path = path;
          line.setting = setting;
          report_.lines.push_back(std::move(line));
        }
      }
    }
  }

  [[nodiscard]] BenchLoad load_of(const WriteLine& line) const {
    const auto& [lanes, batch_rows, rows_per_table] = line.setting;
    BenchLoad load;
    load.rows = &input_.rows;
    load.threads = plan_.threads;
    load.lanes = lanes;
    load.write = plan_.write;
    load.write.batch_rows = batch_rows;
    load.write.precision = precision_;
    load.lane = plan_.lane;
    load.lane.max_window_bytes = pipeline::window_share(plan_.memory, lanes);
    load.lane.first_window_rows = batch_rows;
    load.memory = plan_.memory;
    // The reader of such a run may wait for lanes that gather: they must not wait long for it.
    if (time_) load.lane.linger = std::chrono::milliseconds(500);
    load.forward_lines = line.path.forwards();
    load.time = time_;
    if (load.forward_lines) {
      // They go as they come: gathering would only put the end off.
      load.lane.min_window_rows = batch_rows;
      load.lane.rows_per_child = 1;
    } else if (rows_per_table > 0) {
      load.lane.first_window_rows = std::size_t{1} << 40;  // none is smaller
      load.lane.min_window_rows = 1;
      load.lane.rows_per_child = rows_per_table;
      // Chunks are what windows are made of.
      if (input_.generated) {
        const auto& made = *input_.generated;
        load.chunk_bytes =
            std::clamp<std::size_t>(made.text().size() / made.rows() * made.child_tables() * rows_per_table / 2,
                                    std::size_t{32} << 10, kChunkBytes);
      }
    }
    return load;
  }

  void measure(WriteLine& line) {
    auto& run = line.runs.emplace_back();
    try {
      auto load = load_of(line);
      auto* const scratch = scratches_[line.target].get();
      client::Options options;
      std::unique_ptr<schema::Catalog> catalog = std::make_unique<sink::MemoryCatalog>();
      std::shared_ptr<sink::TargetState> state;
      load.times.precision = precision_;
      if (scratch != nullptr) {
        load.times = scratch->renew();
        options = scratch->options();
        options.transport = line.path.transport;
        options.stop = stop_.get_token();
        state = std::make_shared<sink::TargetState>(options);
        if (!load.forward_lines)
          catalog = std::make_unique<sink::ServerCatalog>(options, plan_.write.retry_for, stop_.get_token(), state);
      }
      load.catalog = catalog.get();
      load.make_writer = [&](sink::WriteObserver& observer, const std::stop_token& stop) {
        return open_path(line.path, options, state, load.write, flags_.bench.source.precision, observer, stop);
      };
      run.result = run_bench_load(load, stop_);
      run.counted = run.result.summary.total.written - run.result.summary.total.merged;
      if (run.result.error) std::rethrow_exception(run.result.error);
      if (scratch != nullptr && !stop_.stop_requested()) run.counted = scratch->count();
    } catch (const Error& error) {
      run.error = without_secrets(error.what());
      // CSV cannot be forwarded, REST cannot bind: nothing is wrong then unless the path was asked for.
      const bool cannot = error.code() == Errc::config || error.code() == Errc::unsupported;
      if (cannot && flags_.paths.empty() && run.result.summary.total.written == 0 && line.runs.size() == 1 &&
          line.path.kind != BenchPath::Kind::stmt) {
        line.left_out = run.error;
        line.runs.clear();
      }
    } catch (const std::exception& error) {
      run.error = without_secrets(error.what());
    }
  }

  // Every row that was acknowledged must be there. Rows of files may have equal keys, but then all ways find as many.
  void check_counts() {
    std::optional<std::pair<std::uint64_t, std::uint64_t>> others;  // rows read, rows counted
    for (auto& line : report_.lines) {
      if (scratches_[line.target] == nullptr) continue;
      for (const auto& run : line.runs) {
        if (!run.error.empty()) continue;
        const auto& total = run.result.summary.total;
        const auto distinct = total.written - total.merged;
        if (run.counted > distinct || (input_.generated && run.counted != distinct))
          line.wrong = fmt::format("{} rows were acknowledged, the database has {}", format_count(distinct),
                                   format_count(run.counted));
        if (input_.generated || total.rejected + total.not_done > 0) continue;
        if (others && others->first == total.read && others->second != run.counted)
          line.wrong = fmt::format("the database has {} rows, after another run of the same rows it had {}",
                                   format_count(run.counted), format_count(others->second));
        if (!others) others.emplace(total.read, run.counted);
      }
    }
  }

  [[nodiscard]] int exit_status() const {
    int status = kOk;
    for (const auto& line : report_.lines) {
      if (!line.wrong.empty()) status = std::max<int>(status, kDifferences);
      for (const auto& run : line.runs) {
        if (!run.error.empty()) status = std::max<int>(status, kStopped);
        if (run.result.summary.total.rejected > 0) status = std::max<int>(status, kRejects);
      }
    }
    return status;
  }

  void tell(const WriteLine& line, std::size_t done) const {
    if (flags_.quiet || line.runs.empty()) return;
    const auto& run = line.runs.back();
    const auto window = line.setting.rows_per_table == 0
                            ? std::string()
                            : fmt::format(", windows of {} rows per table", line.setting.rows_per_table);
    fmt::print(stderr, "[{}/{}] {} {}, {} lanes, {} rows a request{}: {}\n", done, report_.lines.size() * rounds_,
               report_.targets[line.target].name, line.path.name(), line.setting.lanes, line.setting.batch_rows, window,
               run.error.empty() ? fmt::format("{:.3f} M rows/s", run.result.rows_per_second() / 1e6) : run.error);
  }

  const WriteFlags& flags_;
  WritingPlan plan_;
  std::vector<WriteSetting> settings_;
  std::optional<std::chrono::milliseconds> time_;
  unsigned rounds_ = 1;
  std::vector<std::unique_ptr<Target>> targets_;
  BenchInput input_;
  data::Precision precision_ = data::Precision::nanoseconds;
  std::stop_source stop_;
  std::vector<std::unique_ptr<ScratchDatabase>> scratches_;  // by target; null: null:
  WriteReport report_;
};

}  // namespace

void add_bench_write_command(CLI::App& bench, int& status) {
  auto* const command =
      bench.add_subcommand("write", "The ways into a server side by side, in a scratch database that is dropped");
  const auto flags = std::make_shared<WriteFlags>();
  add_target_flags(*command, flags->target, DatabaseFlags::without);
  command->remove_option(command->get_option("--to"));
  command->remove_option(command->get_option("--wait"));
  const auto* const target = "Target";
  command
      ->add_option("--to", flags->to,
                   "ws://[user[:password]@]host[:port] (taos://: natively, http://: REST), sandbox:DIRECTORY or null:; "
                   "may be given again")
      ->group(target)
      ->required();
  command->add_option("--database", flags->database, "Scratch database: made, filled and dropped")
      ->group(target)
      ->capture_default_str();
  command->add_flag("--keep-data", flags->keep_data, "Leave the scratch database with the rows of the last run")
      ->group(target);
  command->add_option("--vgroups", flags->vgroups, "Of the scratch database: vgroups (default: the server's)")
      ->group(target);
  add_bench_flags(*command, flags->bench);
  const auto* const runs = "Runs";
  command
      ->add_option("--paths", flags->paths,
                   "Of stmt, schemaless, sql, rest-schemaless, rest-sql (default: all that the target has)")
      ->group(runs)
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kBenchPaths), std::end(kBenchPaths))));
  command->add_option("--lanes", flags->lanes, "Connections, one number or several: 1,2,4 (default: as load)")
      ->group(runs)
      ->delimiter(',');
  command->add_option("--batch-rows", flags->batch_rows, "Most rows of a request, likewise (default: as load)")
      ->group(runs)
      ->delimiter(',');
  command
      ->add_option("--rows-per-table", flags->rows_per_table,
                   "Rows of a child table that a window gathers, likewise (default: load, as load does)")
      ->group(runs)
      ->delimiter(',');
  command->add_option("--duration", flags->duration, "Longest time of a run (default: 5s without --rows)")->group(runs);
  command->add_option("--retry-for", flags->retry_for, "A run fails after this time without progress")
      ->group(runs)
      ->capture_default_str();
  command
      ->add_flag("--sweep", flags->sweep,
                 "Try lanes x rows of a request x rows per table by the path stmt and say which flags of load are best "
                 "(3 s a run)")
      ->group(runs);
  command->add_flag("-q,--quiet", flags->quiet, "No line for each run while it goes on")->group("Outcome");
  command->callback([flags, command, &status] {
    // A sweep has many runs of one kind: one round of it is enough unless more are asked for.
    if (flags->sweep && command->get_option("--rounds")->count() == 0) flags->bench.rounds = 1;
    status = BenchWrite(*flags).run();
  });
}

}  // namespace penstock::cli
