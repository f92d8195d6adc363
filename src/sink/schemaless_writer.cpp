#include "sink/schemaless_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace penstock::sink {

namespace {
constexpr unsigned kMostMisused = 16;
}  // namespace

using wire::ErrorClass;
using wire::LineProtocol;
using Clock = std::chrono::steady_clock;

SchemalessWriter::SchemalessWriter(client::Options target, WriteOptions options, Settings settings,
                                   WriteObserver& observer, std::stop_token stop, std::shared_ptr<TargetState> state)
    : options_(options),
      settings_(std::move(settings)),
      observer_(observer),
      session_(std::move(target), options.retry_for, stop, std::move(state)),
      slot_(session_.state().throttle, stop) {}

// What format::ForwardParser calls the field of its rows. A load may have sources of several protocols.
LineProtocol SchemalessWriter::protocol_of(const ParsedChunk& chunk) const {
  const auto& shapes = chunk.rows.shapes();
  if (shapes.empty()) return settings_.protocol;
  const auto name = shapes.front().fields.front().name;
  return name == "telnet" ? LineProtocol::telnet : name == "json" ? LineProtocol::json : settings_.protocol;
}

// What goes to the server: without the keyword "put" of telnet.
std::string_view SchemalessWriter::record_of(const Window& window, const Line& line) const {
  auto record = window.parts()[line.part].chunk->record(*line.row);
  if (protocol_of(*window.parts()[line.part].chunk) == LineProtocol::telnet) record.remove_prefix(line.row->slots()[0]);
  return record;
}

// Gives a time to a record that has none, never the same one twice. False: it cannot be given, the record is rejected.
bool SchemalessWriter::stamp(Window& window, Line& line) {
  const auto& chunk = *window.parts()[line.part].chunk;
  const auto protocol = protocol_of(chunk);
  line.place = wire::find_line_time(protocol, record_of(window, line));
  if (line.place.kind == wire::LineTime::Kind::given) return true;
  if (protocol == LineProtocol::telnet) {
    window.note_rejected(line.part);
    observer_.rejected(chunk, *line.row, 0,
                       "the time 0 stands for the server's present one, and a repeated request would store the record "
                       "twice: give it a time, or load it with --write stmt");
    return false;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  // A double, which JSON's numbers become on the server, holds microseconds exactly.
  const std::int64_t present = protocol == LineProtocol::json
                                   ? std::chrono::duration_cast<std::chrono::microseconds>(now).count()
                                   : std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  auto& last = protocol == LineProtocol::json ? last_json_stamp_ : last_stamp_;
  line.stamp = last = std::max(present, last + 1);
  return true;
}

void SchemalessWriter::append(const Window& window, const Line& line) {
  const auto record = record_of(window, line);
  if (line.stamp == 0) {
    payload_ += record;
  } else if (protocol_ == LineProtocol::json) {
    payload_ += record.substr(0, line.place.begin);
    fmt::format_to(std::back_inserter(payload_), R"({{"value":{},"type":"us"}})", line.stamp);
    payload_ += record.substr(line.place.end);
  } else {
    payload_ += record.substr(0, line.place.begin);
    if (line.place.kind == wire::LineTime::Kind::absent) payload_ += ' ';
    fmt::format_to(std::back_inserter(payload_), "{}", line.stamp);
  }
}

void SchemalessWriter::write(Window& window) {
  session_.go_home();  // nothing is under way
  lines_.clear();
  std::size_t bytes = 0;
  const auto parts = window.parts();
  for (std::uint32_t p = 0; p < parts.size(); ++p) {
    const auto protocol = protocol_of(*parts[p].chunk);
    for (const data::Row* row : parts[p].rows) {
      Line line{p, row, 0, {}};
      if (!stamp(window, line)) continue;
      const bool in_ns = line.stamp != 0 && protocol == LineProtocol::line;
      const auto most = session_.state().throttle.batch_rows(options_.batch_rows);
      if (!lines_.empty() && (protocol != protocol_ || in_ns != stamped_ || lines_.size() >= most ||
                              bytes + row->length > options_.batch_bytes)) {
        deliver(window, lines_);
        lines_.clear();
        bytes = 0;
      }
      protocol_ = protocol;
      stamped_ = in_ns;
      lines_.push_back(line);
      bytes += row->length + 1;
    }
  }
  if (!lines_.empty()) deliver(window, lines_);
}

void SchemalessWriter::forget_schema() {
  try {
    session_.connection().execute("RESET QUERY CACHE");
  } catch (const Error& error) {
    // The next attempt meets the same trouble and deals with it.
    log(LogLevel::debug, error.what());
  }
}

void SchemalessWriter::deliver(Window& window, std::span<const Line> lines) {
  bool renewed = false;
  for (;;) {
    const auto start = Clock::now();
    payload_.clear();
    const bool json = protocol_ == LineProtocol::json;
    if (json) payload_ += '[';
    for (const Line& line : lines) {
      if (&line != lines.data()) payload_ += json ? ",\n" : "\n";
      append(window, line);
    }
    if (json) payload_ += ']';
    const auto made = Clock::now();
    observer_.built(made - start);
    observer_.before_send(lines.size(), payload_.size());
    Failure failure;
    try {
      slot_.acquire([this] { session_.keep_alive(); });
      auto& connection = session_.connection();
      if (generation_ != session_.generation() && std::exchange(generation_, session_.generation()) != 0)
        observer_.reconnected();
      connection.insert_schemaless(protocol_, stamped_ ? "ns" : settings_.precision, payload_, settings_.ttl_days,
                                   settings_.table_name_key);
      slot_.release_all();
      observer_.waited(Clock::now() - made);
      for (const Line& line : lines) window.note_written(line.part);
      session_.progressed();
      slot_.succeeded();
      misused_ = 0;
      observer_.acknowledged(lines.size(), 0, 0, 1, payload_.size(), Clock::now() - made);
      return;
    } catch (const Error& error) {
      observer_.waited(Clock::now() - made);
      slot_.release_all();
      if (error.code() == Errc::stopped) throw;
      failure = failure_of(error);
    }
    // Who drains waits for nobody, but still tells the lines that the server refuses from the others.
    if (session_.stopping() && wire::is_transient(failure.kind))
      throw Error(Errc::stopped, "stopped while the target did not take rows: " + failure.text);
    observer_.retried();
    if (wire::wants_less(failure.kind, failure.code)) slot_.pressed(failure.text);
    if (wire::is_transient(failure.kind)) {
      const bool unanswered = failure.unanswered;
      session_.recover(failure);
      if (unanswered) session_.sleep(options_.settle);
      if (lines.size() > session_.state().throttle.batch_rows(options_.batch_rows)) {
        deliver(window, lines.first(lines.size() / 2));
        deliver(window, lines.subspan(lines.size() / 2));
        return;
      }
      continue;
    }
    // The connection's own limits (invalid UTF-8 cannot go over a WebSocket as text) concern single lines too.
    if (failure.kind == ErrorClass::fatal && (failure.code != 0 || failure.final))
      throw Error(Errc::server,
                  fmt::format("{}: {} [0x{:04X}]", session_.options().display(), failure.text, failure.code),
                  failure.code);
    // Perhaps another client altered the table and the server looked at what it remembered.
    if (failure.kind == ErrorClass::stale_schema && !std::exchange(renewed, true)) {
      forget_schema();
      continue;
    }
    if (lines.size() == 1) {
      // What is said of requests as such may be a line's fault; of one line after the other it is not.
      if (failure.kind == ErrorClass::usage && ++misused_ > kMostMisused)
        throw Error(Errc::server,
                    fmt::format("{}: the server refuses every request, not single lines: {} [0x{:04X}]",
                                session_.options().display(), failure.text, failure.code),
                    failure.code);
      window.note_rejected(lines[0].part);
      observer_.rejected(*window.parts()[lines[0].part].chunk, *lines[0].row, failure.code, failure.text);
      session_.progressed();
      return;
    }
    deliver(window, lines.first(lines.size() / 2));
    deliver(window, lines.subspan(lines.size() / 2));
    return;
  }
}

}  // namespace penstock::sink
