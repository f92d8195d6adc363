#pragma once

#include <string>
#include <unordered_map>

#include "sink/session.h"
#include "sink/window.h"
#include "sink/writer.h"

namespace penstock::cli {

/// Writes windows as INSERT texts with many child tables and rows each, as programs without statements do: what
/// `bench write` sets beside the loader's own ways. It neither repeats nor halves: the first refusal ends the run. One
/// thread.
class SqlWriter : public sink::Writer {
 public:
  SqlWriter(client::Options target, sink::WriteOptions options, sink::WriteObserver& observer, std::stop_token stop);
  /// Connects. Throws what client::Connection::open() throws.
  void open() { session_.connection(); }
  /// Throws Error: what the server refuses, a lost connection, a value that SQL cannot say (NaN, a DECIMAL).
  void write(sink::Window& window) override;
  void idle() override { session_.keep_alive(); }

 private:
  const std::string& head_of(const schema::TableVersion& version, const data::ChildTable& child);
  void put_row(const sink::Window& window, const schema::TableVersion& version, const sink::RowRef& ref);
  void send(std::uint64_t rows, std::uint64_t runs, std::chrono::steady_clock::time_point start);

  sink::WriteOptions options_;
  sink::WriteObserver& observer_;
  sink::Session session_;
  std::string sql_;
  std::string scratch_;
  std::unordered_map<const data::ChildTable*, std::pair<std::uint32_t, std::string>> heads_;  // by table version
};

}  // namespace penstock::cli
