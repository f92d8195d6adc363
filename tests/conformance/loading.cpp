#include "conformance/loading.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "data/schema.h"
#include "format/forward_json.h"
#include "format/forward_parser.h"
#include "format/json_parser.h"
#include "format/line_parser.h"
#include "format/telnet_parser.h"
#include "sink/schemaless_writer.h"
#include "sink/stmt_writer.h"

namespace penstock::conformance {

client::Options Sandbox::target(const std::string& database) const {
  client::Options options;
  options.endpoints = {{"127.0.0.1", server_.port()}};
  options.database = database;
  return options;
}

CaseDatabase::CaseDatabase(client::Connection& connection, std::string name, const std::string& precision,
                           const std::string& options)
    : connection_(connection), name_(std::move(name)) {
  connection_.execute(fmt::format("CREATE DATABASE {} PRECISION '{}' {}", name_, precision, options));
  write_.precision = data::precision_from_name(precision).value();
  write_.retry_for = std::chrono::seconds(5);
  std::int64_t keep = 3650;
  if (const auto at = options.find("keep "); at != std::string::npos) keep = std::atoll(options.c_str() + at + 5);
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  range_.first = now - keep * 86'400'000'000'000;
  if (write_.precision == data::Precision::nanoseconds) range_.last = 9'214'646'400'000'000'000;
}

CaseDatabase::~CaseDatabase() {
  try {
    connection_.execute("DROP DATABASE IF EXISTS " + name_);
  } catch (const Error&) {
    // The case has failed by now.
  }
}

ChangedSettings::ChangedSettings(client::Connection& connection, const std::map<std::string, std::string>& settings)
    : connection_(connection), settings_(settings) {
  for (const auto& [name, value] : settings_)
    connection_.execute(fmt::format("ALTER LOCAL '{}' {}", name, data::quote_text(value)));
}

ChangedSettings::~ChangedSettings() {
  static const std::map<std::string, std::string> kDefaults{{"smlChildTableName", ""},
                                                            {"smlAutoChildTableNameDelimiter", ""},
                                                            {"smlTagName", "_tag_null"},
                                                            {"smlTsDefaultName", "_ts"},
                                                            {"smlDot2Underline", "1"}};
  try {
    for (const auto& [name, value] : settings_)
      connection_.execute(fmt::format("ALTER LOCAL '{}' '{}'", name, kDefaults.at(name)));
  } catch (const Error&) {
    // The case has failed by now.
  }
}

std::string Loaded::reasons() const {
  std::string text;
  for (const auto& one : rejected) text += fmt::format(" [0x{:04x}] {}", one.code, one.reason);
  return text;
}

namespace {

std::unique_ptr<format::Parser> make_parser(schema::Registry& registry, const CaseDatabase& database,
                                            const Loader::Settings& settings) {
  switch (settings.protocol) {
    case wire::LineProtocol::line: {
      format::LineOptions line;
      line.precision = format::time_unit_from_name(settings.precision).value();
      line.naming = settings.naming;
      line.range = database.range();
      line.payload_rules = settings.payload_rules;
      return std::make_unique<format::LineParser>(registry, line);
    }
    case wire::LineProtocol::telnet: {
      format::TelnetOptions telnet;
      telnet.naming = settings.naming;
      telnet.range = database.range();
      telnet.payload_rules = settings.payload_rules;
      return std::make_unique<format::TelnetParser>(registry, telnet);
    }
    case wire::LineProtocol::json: {
      format::JsonOptions json;
      json.naming = settings.naming;
      json.range = database.range();
      json.payload_rules = settings.payload_rules;
      return std::make_unique<format::JsonParser>(registry, json);
    }
    default: throw std::logic_error("no parser of this protocol");
  }
}

}  // namespace

Loader::Loader(Way way, const client::Options& target, const CaseDatabase& database, const Settings& settings) {
  if (way == Way::schemaless) {
    const bool telnet = settings.protocol == wire::LineProtocol::telnet;
    if (settings.protocol == wire::LineProtocol::json) parser_ = std::make_unique<format::ForwardJsonParser>(registry_);
    else
      parser_ =
          std::make_unique<format::ForwardParser>(registry_, telnet ? format::Format::telnet : format::Format::line);
    sink::SchemalessWriter::Settings lines;
    lines.protocol = settings.protocol;
    lines.precision = settings.precision == "us" ? "u" : settings.precision == "none" ? "" : settings.precision;
    lines.table_name_key = settings.naming.table_name_key;
    lines.ttl_days = settings.ttl_days;
    writer_ =
        std::make_unique<sink::SchemalessWriter>(target, database.write_options(), lines, *this, std::stop_token());
    return;
  }
  parser_ = make_parser(registry_, database, settings);
  catalog_ = std::make_unique<sink::ServerCatalog>(target, database.write_options().retry_for, std::stop_token());
  schema::Growth::Options growth;
  growth.timestamp_name = settings.naming.timestamp_name;
  growth.default_tag = settings.naming.default_tag;
  growth_ = std::make_unique<schema::Growth>(*catalog_, registry_, growth);
  auto write = database.write_options();
  write.ttl_days = settings.ttl_days;
  writer_ = std::make_unique<sink::StmtWriter>(target, write, *this, std::stop_token());
}

Loader::~Loader() = default;

void Loader::rejected(const sink::ParsedChunk& chunk, const data::Row& row, std::int32_t code,
                      std::string_view reason) {
  result_.rejected.push_back({code & 0xFFFF, std::string(reason), std::string(chunk.record(row))});
}

void Loader::load(std::string_view text) {
  auto chunk = std::make_shared<sink::ParsedChunk>(nullptr);
  auto memory = std::make_shared<std::string>(text);
  memory->append(io::kPadding, '\0');
  chunk->chunk.text = std::string_view(*memory).substr(0, text.size());
  chunk->chunk.owner = memory;
  chunk->chunk.offset = offset_;
  offset_ += text.size();
  parser_->parse(chunk->chunk, chunk->rows);
  sink::Part part{chunk, {}};
  chunk->rows.for_each_row([&](data::Row& row) { part.rows.push_back(&row); });
  result_.read += chunk->rows.row_count() + chunk->rows.rejects().size();
  if (growth_) {
    growth_->admit(chunk->rows);
    for (const auto& shape : chunk->rows.shapes()) {
      if (shape.resolved == nullptr) continue;
      const auto& version = shape.resolved->table->version;
      if (std::find(chunk->versions.begin(), chunk->versions.end(), version) == chunk->versions.end())
        chunk->versions.push_back(version);
    }
  }
  for (const auto& reject : chunk->rows.rejects())
    result_.rejected.push_back(
        {reject.reason.code, reject.reason.text, std::string(chunk->chunk.text.substr(reject.offset, reject.length))});
  window_.add(std::move(part));
  writer_->write(window_);
  for (const auto& outcome : window_.outcomes()) {
    result_.written += outcome.written;
    result_.merged += outcome.merged;
  }
  window_.clear();
}

}  // namespace penstock::conformance
