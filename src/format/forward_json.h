#pragma once

#include <cstdint>

#include "format/forward_buckets.h"
#include "format/json_reader.h"
#include "format/parser.h"
#include "schema/registry.h"

namespace penstock::format {

/// For `--write schemaless`: points of OpenTSDB JSON are only cut, as JsonParser cuts them; the server reads them. Each
/// becomes a row whose child id depends on its metric and its tags as they are written; its only field is called
/// "json". What is no JSON object is rejected (0x0221): in an array of points it would spoil the others.
class ForwardJsonParser : public Parser {
 public:
  explicit ForwardJsonParser(schema::Registry& registry);
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  [[nodiscard]] std::uint64_t series_hash() const noexcept;

  JsonReader reader_;
  ForwardBuckets buckets_;
};

}  // namespace penstock::format
