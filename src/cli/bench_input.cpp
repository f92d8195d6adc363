#include "cli/bench_input.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/error.h"
#include "base/text.h"
#include "generator/generator.h"
#include "io/chunk.h"

namespace penstock::cli {
namespace {

// 2026-01-01T00:00:00Z: times of nineteen digits, now and for two centuries.
constexpr std::int64_t kStart = 1'767'225'600'000'000'000;
constexpr std::int64_t kInterval = 10'000'000'000;

class MemorySink final : public generator::Sink {
 public:
  explicit MemorySink(int file) : file_(file) {}
  void write(std::string_view text) override {
    while (!text.empty()) {
      const auto written = ::write(file_, text.data(), text.size());
      if (written >= 0) text.remove_prefix(static_cast<std::size_t>(written));
      else if (errno != EINTR)
        throw Error(Errc::io, fmt::format("cannot keep the rows of the bench in memory: {}; ask for fewer with --rows",
                                          errno_text(errno)));
    }
  }

 private:
  int file_;
};

// "bench,device=d_7,site=s_3 c0=17i,c1=5i 1767225600000000000": what the cases of the generator do not have.
void write_columns(const BenchShape& shape, generator::Sink& sink) {
  generator::TextBuffer out(sink);
  std::uint64_t state = 1;
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    const auto device = row % shape.child_tables;
    out.begin_record();
    out.put("bench,device=d_");
    out.put_number(device);
    out.put(",site=s_");
    out.put_number(device % 100);
    for (std::uint32_t column = 0; column < shape.columns; ++column) {
      out.put(column == 0 ? ' ' : ',');
      out.put('c');
      out.put_number(column);
      out.put('=');
      state = state * 6364136223846793005u + 1442695040888963407u;
      out.put_number(state >> 44);
      out.put('i');
    }
    out.put(' ');
    out.put_number(static_cast<std::uint64_t>(kStart) + row / shape.child_tables * kInterval);
    out.put('\n');
  }
  out.flush();
}

// A record must fit the generator's buffer.
constexpr std::uint32_t kMostColumns = 500;

}  // namespace

GeneratedLines::GeneratedLines(const BenchShape& shape) {
  if (shape.child_tables == 0) throw Error(Errc::config, "--child-tables 0: rows need at least one");
  if (shape.columns > kMostColumns)
    throw Error(Errc::config, fmt::format("--columns {}: at most {}", shape.columns, kMostColumns));
  if (shape.rows == 0) throw Error(Errc::config, "--rows 0: a bench needs at least one row");
  file_ = ::memfd_create("penstock-bench", MFD_CLOEXEC);
  if (file_ < 0)
    throw Error(Errc::io, fmt::format("cannot keep the rows of the bench in memory: {}", errno_text(errno)));
  MemorySink sink(file_);
  if (shape.columns > 0) {
    write_columns(shape, sink);
    rows_ = shape.rows;
    child_tables_ = std::min<std::uint64_t>(shape.child_tables, rows_);
    span_ns_ = static_cast<std::int64_t>((rows_ + shape.child_tables - 1) / shape.child_tables) * kInterval;
    what_ = fmt::format("{} rows of {} BIGINT columns", format_count(rows_), shape.columns);
  } else {
    generator::Options options;
    options.shape = shape.name;
    const auto* const known = generator::find_shape(shape.name);
    if (known == nullptr) throw Error(Errc::config, fmt::format("--case {}: cpu-only or iot", shape.name));
    // A truck has a table of each measurement.
    options.hosts = std::max<std::uint32_t>(1, shape.child_tables / static_cast<std::uint32_t>(known->tables.size()));
    options.rows = shape.rows;
    options.start_ns = kStart;
    options.interval = std::chrono::nanoseconds(kInterval);
    generator::complete(options, std::chrono::system_clock::now());
    const auto truth = generator::generate(options, sink);
    rows_ = truth.records();
    for (const auto& table : truth.tables) child_tables_ += table.child_tables;
    span_ns_ = (std::int64_t{truth.last_step} + 1) * kInterval;
    what_ = fmt::format("{} rows of TSBS {}", format_count(rows_), shape.name);
  }
  what_ += fmt::format(" in {} child table{}", format_count(child_tables_), child_tables_ == 1 ? "" : "s");
  bytes_ = static_cast<std::size_t>(::lseek(file_, 0, SEEK_CUR));
  // Zeros behind the end of the file, also where it ends with its last page.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  mapped_ = (bytes_ / page + 2) * page;
  void* const memory = ::mmap(nullptr, mapped_, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || ::mmap(memory, bytes_, PROT_READ, MAP_SHARED | MAP_FIXED, file_, 0) == MAP_FAILED) {
    const int why = errno;
    ::close(file_);
    throw Error(Errc::io, fmt::format("cannot keep the rows of the bench in memory: {}", errno_text(why)));
  }
  memory_ = static_cast<const char*>(memory);
}

GeneratedLines::~GeneratedLines() {
  ::munmap(const_cast<char*>(memory_), mapped_);
  ::close(file_);
}

io::Input GeneratedLines::input() const {
  return {"generated rows", fmt::format("/proc/self/fd/{}", file_), false, bytes_};
}

}  // namespace penstock::cli
