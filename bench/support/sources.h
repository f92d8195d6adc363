#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/csv_parser.h"
#include "format/json_parser.h"
#include "format/line_parser.h"
#include "format/telnet_parser.h"
#include "io/cutter.h"
#include "support/text.h"

/// Texts together with how they are read.
namespace penstock::bench {

/// The text of an input, how it is cut, and who reads it.
struct Source {
  Text text;
  std::string format;
  io::Cutting cutting = {};
  std::function<std::unique_ptr<format::Parser>(schema::Registry&)> parser;
};

inline Source line_source(Text text) {
  return {std::move(text), "line", {}, [](schema::Registry& registry) {
            return std::make_unique<format::LineParser>(registry);
          }};
}

inline Source telnet_source(Text text) {
  return {std::move(text), "telnet", {}, [](schema::Registry& registry) {
            return std::make_unique<format::TelnetParser>(registry);
          }};
}

inline Source json_source(Text text) {
  return {std::move(text), "json", {io::Splitting::json, {}}, [](schema::Registry& registry) {
            return std::make_unique<format::JsonParser>(registry);
          }};
}

/// Column types are found from the head of the text, as the loader does it.
inline Source csv_source(Text text, std::vector<std::string> tags) {
  schema::CsvMapping mapping;
  mapping.tags = std::move(tags);
  const auto plan = std::make_shared<const format::CsvPlan>(
      format::infer(text.view().substr(0, 256 << 10), mapping, "bench", nullptr, false));
  const auto& dialect = plan->dialect;
  return {std::move(text),
          "csv",
          {io::Splitting::csv, {dialect.delimiter, dialect.quote, dialect.escape}},
          [plan](schema::Registry& registry) -> std::unique_ptr<format::Parser> {
            // The parser refers to the plan.
            struct Owner final : format::Parser {
              Owner(std::shared_ptr<const format::CsvPlan> of, schema::Registry& registry)
                  : plan(std::move(of)), parser(registry, *plan) {}
              void parse(const io::Chunk& chunk, data::RowSet& rows) override { parser.parse(chunk, rows); }
              std::shared_ptr<const format::CsvPlan> plan;
              format::CsvParser parser;
            };
            auto* const table = registry.table(plan->table);
            if (!table->declared) table->declared = std::make_unique<const data::SuperTable>(plan->super_table());
            return std::make_unique<Owner>(plan, registry);
          }};
}

}  // namespace penstock::bench
