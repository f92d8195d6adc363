#pragma once

#include <string>
#include <vector>

#include "sink/session.h"
#include "sink/writer.h"
#include "wire/schemaless.h"

namespace penstock::sink {

/// `--write schemaless`: forwards lines (or JSON points, as an array) in input order; the server parses them. A refused
/// payload is halved by lines until the guilty ones are alone.
class SchemalessWriter : public Writer {
 public:
  struct Settings {
    wire::LineProtocol protocol = wire::LineProtocol::line;  ///< of chunks that do not tell it
    std::string precision = "ns";                            ///< of line protocol: "h" "m" "s" "ms" "u" "ns"
    std::string table_name_key;
    int ttl_days = 0;
  };
  SchemalessWriter(client::Options target, WriteOptions options, Settings settings, WriteObserver& observer,
                   std::stop_token stop);
  /// Connects. Throws what client::Connection::open() throws.
  void open() { session_.connection(); }
  void write(Window& window) override;
  void idle() override { session_.keep_alive(); }

 private:
  struct Line {
    std::uint32_t part = 0;
    const data::Row* row = nullptr;
  };
  void forget_schema();
  [[nodiscard]] wire::LineProtocol protocol_of(const ParsedChunk& chunk) const;
  void deliver(Window& window, std::span<const Line> lines);

  WriteOptions options_;
  Settings settings_;
  WriteObserver& observer_;
  Session session_;
  std::vector<Line> lines_;
  wire::LineProtocol protocol_ = wire::LineProtocol::line;  // of lines_
  std::string payload_;
  unsigned misused_ = 0;  // lines refused in a row for what seems to be no fault of theirs
};

}  // namespace penstock::sink
