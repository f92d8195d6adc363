#pragma once

#include <cstdint>

#include "format/parser.h"
#include "schema/registry.h"

namespace penstock::format {

/// For `--write schemaless`: lines are only cut; the server parses them. Each line becomes a row without a field whose
/// child id depends on the bytes before its first unescaped blank, so that the lines of a child table meet the same
/// lane and keep their order. Comments, blank lines and a byte order mark are skipped, a CR before the line end is not
/// part of the record.
class ForwardParser : public Parser {
 public:
  explicit ForwardParser(schema::Registry& registry);
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  static constexpr std::uint32_t kBuckets = 256;
  schema::Registry& registry_;
  std::uint32_t first_bucket_ = 0;
  data::SuperTableRef* table_;
};

}  // namespace penstock::format
