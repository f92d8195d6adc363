#pragma once

// Whole runs over small files, for several test files.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "format/csv_parser.h"
#include "format/line_parser.h"
#include "pipeline/recording_writer.h"
#include "pipeline/run.h"
#include "sink/memory_catalog.h"

namespace penstock::pipeline {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Settings {
  std::size_t chunk_bytes = 64 * 1024;
  unsigned threads = 2;
  std::uint32_t lanes = 2;
  std::size_t memory = std::size_t{256} << 20;
  bool use_mmap = true;
  std::size_t max_record = std::size_t{1} << 20;
  std::uint64_t max_rejects = 1'000'000;
  std::function<void(sink::ParsedChunk&, std::stop_source&)> look = {};
  std::function<void()> before_write = {};
  std::function<void(const MemoryBudget&, const LaneGroup&)> stall =
      {};  ///< before each window is written, in the thread of its lane
  Selection selection = {};
  std::uint32_t max_child_tables = UINT32_MAX;
  RowFilter filter = {};
  std::size_t min_window_rows = 2'000;
  std::size_t window_bytes = 0;  // 0: a lane's share of the memory
};

struct Outcome {
  RunResult result;
  std::map<std::string, std::vector<std::string>> children;
  std::vector<SourceRows> sources;
  std::vector<Settled> settled;
  std::map<std::string, std::string> tables;   // super table: its CREATE statement
  std::map<std::string, std::string> rejects;  // file: content
  std::string location;
  std::size_t memory_left = 0;
  std::size_t peak = 0;
};

class RunTest : public testing::Test {
 protected:
  RunTest() : folder_(fs::temp_directory_path() / ("penstock-run-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~RunTest() override { fs::remove_all(folder_); }

  fs::path file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  Outcome load(const std::vector<fs::path>& paths, const Settings& settings = {}) {
    Outcome outcome;
    MemoryBudget budget(settings.memory);
    {
      schema::Registry registry;
      sink::MemoryCatalog catalog;
      schema::Growth growth(catalog, registry, {});
      report::Counters counters;
      Ledger ledger(paths.size());
      Rejects::Options to;
      to.path = folder_ / "rejects";
      to.max_rejects = settings.max_rejects;
      to.early_share = 1;
      fs::remove_all(to.path);
      std::vector<Rejects::Source> sources;
      RunPlan plan;
      for (const auto& path : paths) {
        plan.inputs.push_back({path.filename().string(), path, false, 0});
        sources.push_back({path.filename().string(), "", "", "", ""});
      }
      Rejects rejects(to, sources);
      std::vector<std::shared_ptr<format::CsvPlan>> csv;
      plan.open = [&](const io::Input& input, std::uint32_t) {
        io::ReadOptions read;
        read.chunk_bytes = settings.chunk_bytes;
        read.max_record = settings.max_record;
        read.use_mmap = settings.use_mmap;
        read.budget = &budget;
        OpenedSource opened;
        opened.reader = io::Reader::open(input, read);
        if (input.path.extension() == ".csv") {
          const auto head = opened.reader->peek(1 << 16);
          csv.push_back(std::make_shared<format::CsvPlan>(format::infer(head, {}, "table")));
          const auto& made = *csv.back();
          auto* const ref = registry.table(made.table);
          if (!ref->declared) ref->declared = std::make_unique<const data::SuperTable>(made.super_table());
          opened.reader->set_cutting(
              {io::Splitting::csv, {made.dialect.delimiter, made.dialect.quote, made.dialect.escape}});
          opened.parsers = std::make_shared<ParserPool>(
              [&registry, &made] { return std::make_unique<format::CsvParser>(registry, made, format::CsvOptions{}); });
          opened.format = opened.reject_extension = "csv";
          opened.reject_header = head.substr(0, head.find('\n'));
        } else {
          opened.parsers =
              std::make_shared<ParserPool>([&registry] { return std::make_unique<format::LineParser>(registry); });
          opened.format = opened.reject_extension = "line";
        }
        opened.filter = settings.filter;
        return opened;
      };
      plan.selection = settings.selection;
      plan.max_child_tables = settings.max_child_tables;
      std::stop_source stop;
      Recorded recorded;
      LaneOptions lane_options;
      lane_options.first_window_rows = 500;
      lane_options.min_window_rows = settings.min_window_rows;
      lane_options.rows_per_child = 10;
      lane_options.max_window_bytes =
          settings.window_bytes > 0 ? settings.window_bytes : window_share(settings.memory, settings.lanes);
      LaneGroup lanes(settings.lanes, lane_options, budget, ledger, counters, registry, [&](std::uint32_t) {
        if (!settings.stall) return std::make_unique<RecordingWriter>(recorded, settings.before_write);
        return std::make_unique<RecordingWriter>(recorded, [&] { settings.stall(budget, lanes); });
      });
      plan.growth = &growth;
      plan.lanes = &lanes;
      plan.rejects = &rejects;
      plan.ledger = &ledger;
      plan.budget = &budget;
      plan.counters = &counters;
      plan.threads = settings.threads;
      plan.chunk_bytes = settings.chunk_bytes;
      if (settings.look) plan.look = [&](sink::ParsedChunk& chunk) { settings.look(chunk, stop); };
      auto done = std::async(std::launch::async, [&] { return run(plan, stop); });
      if (done.wait_for(100s) != std::future_status::ready) {
        ADD_FAILURE() << "the run hangs with " << budget.used() << " bytes in use";
        stop.request_stop();
      }
      outcome.result = done.get();
      outcome.children = std::move(recorded.children);
      outcome.sources = ledger.sources();
      outcome.settled = ledger.settled();
      outcome.location = rejects.location();
      for (const auto& state : growth.tables())
        if (const auto found = catalog.describe(state.ref->name); found.kind == schema::Catalog::Kind::super_table)
          outcome.tables[state.ref->name] = data::create_statement(found.table);
      const auto total = ledger.total();
      EXPECT_EQ(counters.rows_read, total.read);
      EXPECT_EQ(counters.rows_left_out, total.left_out);
      std::uint64_t rows = 0;
      for (const auto& [child, texts] : outcome.children) rows += texts.size();
      EXPECT_EQ(total.written, rows);
      for (const auto& source : outcome.sources)
        EXPECT_LE(source.written + source.rejected + source.left_out, source.read);
    }
    outcome.memory_left = budget.used();
    outcome.peak = budget.peak();
    if (fs::exists(folder_ / "rejects"))
      for (const auto& entry : fs::directory_iterator(folder_ / "rejects")) {
        std::ifstream in(entry.path(), std::ios::binary);
        std::stringstream text;
        text << in.rdbuf();
        outcome.rejects[entry.path().filename().string()] = text.str();
      }
    return outcome;
  }

  fs::path folder_;
};

// Lines of three super tables, with comments, blank lines, records that do not parse and records that do not fit.
struct Lines {
  explicit Lines(int count) {
    for (int i = 0; i < count; ++i) {
      const auto add = [&](const std::string& record, bool bad) {
        text += record + "\n";
        ++line;
        (bad ? bad_lines : good_lines).push_back(line);
        if (bad) bad_text += record + "\n";
      };
      if (i % 50 == 7) text += "# comment\n\n", line += 2;
      if (i % 97 == 13) add(fmt::format("broken {}", i), true);
      if (i % 131 == 77) add(fmt::format("m0,host=h1 a=\"text {}\" {}", i, i + 1), true);
      std::string fields = fmt::format("a={}i", i);
      if (i % 3 == 1) fields += fmt::format(",b={}.5", i);
      if (i % 5 == 2) fields += fmt::format(",s=\"{}\"", std::string(static_cast<std::size_t>(i % 40), 'x'));
      if (i % 700 == 699) fields += fmt::format(",late{}=true", i);
      add(fmt::format("m{},host=h{},r=e {} {}", i % 3, i * 7 % 41, fields, i + 1), false);
    }
  }
  std::string text;
  std::string bad_text;
  std::uint64_t line = 0;
  std::vector<std::uint64_t> good_lines, bad_lines;
};

inline std::vector<std::uint64_t> reject_lines(const std::string& reasons) {
  std::vector<std::uint64_t> lines;
  std::istringstream in(reasons);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line)["line"]);
  return lines;
}

inline std::string without_widths(std::string text) {
  for (std::size_t at = 0; (at = text.find('(', at)) != std::string::npos; ++at)
    if (at + 1 < text.size() && text[at + 1] >= '0' && text[at + 1] <= '9')
      text.erase(at + 1, text.find(')', at) - at - 1);
  return text;
}

}  // namespace penstock::pipeline
