#include "sink/schemaless_writer.h"

#include <fmt/format.h>

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
                                   WriteObserver& observer, std::stop_token stop)
    : options_(options),
      settings_(std::move(settings)),
      observer_(observer),
      session_(std::move(target), options.retry_for, std::move(stop)) {}

// What format::ForwardParser calls the field of its rows. A load may have sources of several protocols.
LineProtocol SchemalessWriter::protocol_of(const ParsedChunk& chunk) const {
  const auto& shapes = chunk.rows.shapes();
  if (shapes.empty()) return settings_.protocol;
  const auto name = shapes.front().fields.front().name;
  return name == "telnet" ? LineProtocol::telnet : name == "json" ? LineProtocol::json : settings_.protocol;
}

void SchemalessWriter::write(Window& window) {
  lines_.clear();
  std::size_t bytes = 0;
  const auto parts = window.parts();
  for (std::uint32_t p = 0; p < parts.size(); ++p) {
    const auto protocol = protocol_of(*parts[p].chunk);
    for (const data::Row* row : parts[p].rows) {
      if (!lines_.empty() && (protocol != protocol_ || lines_.size() >= options_.batch_rows ||
                              bytes + row->length > options_.batch_bytes)) {
        deliver(window, lines_);
        lines_.clear();
        bytes = 0;
      }
      protocol_ = protocol;
      lines_.push_back({p, row});
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
      auto record = window.parts()[line.part].chunk->record(*line.row);
      if (protocol_ == LineProtocol::telnet) record.remove_prefix(line.row->slots()[0]);  // "put"
      payload_ += record;
    }
    if (json) payload_ += ']';
    const auto made = Clock::now();
    observer_.built(made - start);
    observer_.before_send(lines.size(), payload_.size());
    Failure failure;
    try {
      auto& connection = session_.connection();
      connection.insert_schemaless(protocol_, settings_.precision, payload_, settings_.ttl_days,
                                   settings_.table_name_key);
      observer_.waited(Clock::now() - made);
      for (const Line& line : lines) window.note_written(line.part);
      session_.progressed();
      misused_ = 0;
      observer_.acknowledged(lines.size(), 0, 0, 1, payload_.size(), Clock::now() - made);
      return;
    } catch (const Error& error) {
      observer_.waited(Clock::now() - made);
      failure = failure_of(error);
    }
    if (session_.stopping()) throw Error(Errc::stopped, "stopped while the target did not take rows: " + failure.text);
    observer_.retried();
    if (wire::is_transient(failure.kind)) {
      const bool unanswered = failure.unanswered;
      session_.recover(failure);
      if (unanswered) session_.sleep(options_.settle);
      continue;
    }
    // The connection's own limits (invalid UTF-8 cannot go over a WebSocket as text) concern single lines too.
    if (failure.kind == ErrorClass::fatal && failure.code != 0)
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
