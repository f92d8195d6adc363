#pragma once

#include <cstdint>

#include "format/forward_buckets.h"
#include "format/guess.h"
#include "format/parser.h"
#include "schema/registry.h"

namespace penstock::format {

/// For `--write schemaless`: lines are only cut; the server parses them. Each line becomes a row whose child id depends
/// on its metric or measurement and its tags, so that the lines of a child table meet the same lane and keep their
/// order; its only field is called "line" or "telnet" and tells how many bytes at the start are not for the server
/// (the keyword "put" of telnet).
/// Comments of line protocol, blank lines and a byte order mark are skipped, a CR before the line end is not part of
/// the record.
class ForwardParser : public Parser {
 public:
  /// `format`: line or telnet.
  explicit ForwardParser(schema::Registry& registry, Format format = Format::line);
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  Format format_;
  ForwardBuckets buckets_;
};

}  // namespace penstock::format
