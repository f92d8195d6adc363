#pragma once

#include <string>
#include <vector>

#include "sink/session.h"
#include "sink/writer.h"
#include "wire/line_time.h"
#include "wire/schemaless.h"

namespace penstock::sink {

/// `--write schemaless`: forwards lines (or JSON points, as an array) in input order; the server parses them. A refused
/// payload is halved by lines until the guilty ones are alone. A record that leaves its time to the server (none, or 0)
/// gets one here, once, so that its repetition overwrites it; of telnet, which could say it in whole milliseconds only,
/// it is rejected.
class SchemalessWriter : public Writer {
 public:
  struct Settings {
    wire::LineProtocol protocol = wire::LineProtocol::line;  ///< of chunks that do not tell it
    std::string precision = "ns";                            ///< of line protocol: "h" "m" "s" "ms" "u" "ns"
    std::string table_name_key;
    int ttl_days = 0;
  };
  SchemalessWriter(client::Options target, WriteOptions options, Settings settings, WriteObserver& observer,
                   std::stop_token stop, std::shared_ptr<TargetState> state = nullptr);
  /// Connects. Throws what client::Connection::open() throws.
  void open() { session_.connection(); }
  void write(Window& window) override;
  void idle() override {
    session_.keep_alive();
    session_.go_home();
  }

 private:
  struct Line {
    std::uint32_t part = 0;
    const data::Row* row = nullptr;
    std::int64_t stamp = 0;  // the time that it does not give itself: ns (line protocol) or us (JSON); 0: it gives one
    wire::LineTime place;    // where the stamp belongs
  };
  [[nodiscard]] std::string_view record_of(const Window& window, const Line& line) const;
  bool stamp(Window& window, Line& line);
  void append(const Window& window, const Line& line);
  void forget_schema();
  [[nodiscard]] wire::LineProtocol protocol_of(const ParsedChunk& chunk) const;
  void deliver(Window& window, std::span<const Line> lines);

  WriteOptions options_;
  Settings settings_;
  WriteObserver& observer_;
  Session session_;
  Throttle::Slot slot_;
  std::vector<Line> lines_;
  wire::LineProtocol protocol_ = wire::LineProtocol::line;  // of lines_
  std::string payload_;
  bool stamped_ = false;              // lines_ are: line protocol, in nanoseconds whatever the precision of the others
  std::int64_t last_stamp_ = 0;       // ns
  std::int64_t last_json_stamp_ = 0;  // us
  unsigned generation_ = 0;
  unsigned misused_ = 0;  // lines refused in a row for what seems to be no fault of theirs
};

}  // namespace penstock::sink
