#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "generator/generator.h"

namespace {

using namespace penstock;
using namespace penstock::generator;

class FileSink final : public Sink {
 public:
  explicit FileSink(const std::string& path) : path_(path), file_(1) {
    if (path == "-") return;
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file_ < 0) throw Error(Errc::io, fmt::format("cannot write '{}': {}", path, errno_text(errno)));
  }
  ~FileSink() override {
    if (file_ > 2) ::close(file_);
  }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void write(std::string_view text) override {
    while (!text.empty()) {
      const ssize_t written = ::write(file_, text.data(), text.size());
      if (written >= 0) text.remove_prefix(static_cast<std::size_t>(written));
      else if (errno != EINTR) throw Error(Errc::io, fmt::format("cannot write '{}': {}", path_, errno_text(errno)));
    }
  }

 private:
  std::string path_;
  int file_;
};

struct Flags {
  Options options;
  std::string rows;
  std::string duration;
  std::string interval = "10s";
  std::string start;
  std::string precision;
  std::string time_format = "epoch";
  std::string format = "line";
  std::string output = "-";
  std::string stats;
  bool quiet = false;
};

std::chrono::nanoseconds duration_flag(const char* flag, const std::string& text) {
  const auto value = parse_duration(text);
  if (!value || value->count() <= 0)
    throw Error(Errc::config, fmt::format("{} '{}' is no duration: write 10s, 500ms, 5m, 1h or 2d", flag, text));
  return *value;
}

void add_flags(CLI::App& app, Flags& flags) {
  auto& options = flags.options;
  app.add_option("--case", options.shape, "cpu-only (10 tags, 10 integers) or iot (trucks; floats, gaps)")
      ->capture_default_str();
  app.add_option("-f,--format", flags.format, "line, telnet, json (OpenTSDB) or csv")
      ->check(CLI::IsMember({"line", "telnet", "json", "csv"}))
      ->capture_default_str();
  app.add_option("--measurement", options.measurement,
                 "only this measurement (iot: readings, diagnostics; csv writes one)");
  app.add_option("--hosts", options.hosts, "number of hosts or trucks")->capture_default_str();
  app.add_option("--rows", flags.rows, "records in all, good and bad; 10M, 500k (default 1M)");
  app.add_option("--duration", flags.duration, "instead of --rows: the time that the rows span, 1h, 2d");
  app.add_option("--interval", flags.interval, "between two rows of a host")->capture_default_str();
  app.add_option("--start", flags.start, "time of the first row, RFC 3339 or epoch (default: the last row is of now)");
  app.add_option("--seed", options.seed, "same seed and flags, same bytes (with --start)")->capture_default_str();
  app.add_option("--precision", flags.precision,
                 "of the timestamps: ns, us, ms, s (default ns; telnet and json s or ms)")
      ->check(CLI::IsMember({"ns", "us", "ms", "s"}));
  app.add_option("--time-format", flags.time_format, "csv: epoch or rfc3339")
      ->check(CLI::IsMember({"epoch", "rfc3339"}))
      ->capture_default_str();
  app.add_option("--disorder", options.disorder, "share of rows that come late, 0.01");
  app.add_option("--duplicates", options.duplicates, "share of records whose key came before; half with other values");
  app.add_option("--bad", options.bad, "share of malformed records");
  app.add_flag("--one-field-per-line", options.one_field_per_line,
               "line: series by series, one field a line, as an export of a database");
  app.add_option("-o,--output", flags.output, "file, or - for standard output")->capture_default_str();
  app.add_option("--stats", flags.stats, "file for what was written, exactly: counts, keys, sums per column (JSON)");
  app.add_flag("-q,--quiet", flags.quiet, "no summary");
}

void read_flags(Flags& flags) {
  static const std::map<std::string, Format> formats{
      {"line", Format::line}, {"telnet", Format::telnet}, {"json", Format::json}, {"csv", Format::csv}};
  static const std::map<std::string, TimeUnit> units{
      {"ns", TimeUnit::ns}, {"us", TimeUnit::us}, {"ms", TimeUnit::ms}, {"s", TimeUnit::s}};
  auto& options = flags.options;
  options.format = formats.at(flags.format);
  if (!flags.precision.empty()) options.precision = units.at(flags.precision);
  if (flags.time_format == "rfc3339") options.time_text = TimeText::rfc3339;
  if (!flags.rows.empty()) {
    const auto rows = parse_size(flags.rows, 1000);
    if (!rows || *rows == 0)
      throw Error(Errc::config, fmt::format("--rows '{}' is no count: write 500k or 10M", flags.rows));
    options.rows = *rows;
  }
  if (!flags.duration.empty()) options.duration = duration_flag("--duration", flags.duration);
  options.interval = duration_flag("--interval", flags.interval);
  if (!flags.start.empty()) {
    options.start_ns = parse_time(flags.start);
    if (!options.start_ns)
      throw Error(Errc::config,
                  fmt::format("--start '{}' is no time: write 2026-01-31T12:00:00Z or an epoch", flags.start));
  }
}

int run(Flags& flags) {
  read_flags(flags);
  complete(flags.options, std::chrono::system_clock::now());
  const auto begin = std::chrono::steady_clock::now();
  FileSink sink(flags.output);
  const Truth truth = generate(flags.options, sink);
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  if (!flags.stats.empty()) {
    FileSink stats(flags.stats);
    stats.write(truth.to_json(flags.options, *find_shape(flags.options.shape)));
  }
  if (!flags.quiet)
    fmt::print(stderr, "{} records ({} bad), {} in {}: {}/s\n", format_count(truth.records()), format_count(truth.bad),
               format_bytes(static_cast<double>(truth.bytes)), format_duration(elapsed),
               format_bytes(static_cast<double>(truth.bytes) / std::chrono::duration<double>(elapsed).count()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes test data of any size in the shapes of the TSBS benchmark cases, with the exact truth about it.",
               "penstock-generate");
  Flags flags;
  add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(flags);
  } catch (const Error& error) {
    fmt::print(stderr, "penstock-generate: {}\n", error.what());
    return error.code() == Errc::config ? 2 : 3;
  }
}
