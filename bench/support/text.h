#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "io/chunk.h"

/// Inputs of benches and of the performance gate: the same bytes in every run and on every machine.
namespace penstock::bench {

/// How the text of an input is made. `record` is called with 0, 1, 2, … and may keep a state between the calls.
struct Shape {
  std::string head = {};
  std::function<std::string(std::size_t record)> record;
  std::string between = "\n";
  std::string tail = "\n";
};

/// The text of an input, padded as parsers need it.
struct Text {
  std::string bytes;
  std::size_t records = 0;

  [[nodiscard]] std::string_view view() const { return std::string_view(bytes).substr(0, bytes.size() - io::kPadding); }
  /// All of it as one chunk that is not the start of its source.
  [[nodiscard]] io::Chunk chunk() const {
    io::Chunk chunk;
    chunk.offset = 1;
    chunk.text = view();
    return chunk;
  }
};

/// Whole records until the text has `bytes` bytes and `records` records.
inline Text make(const Shape& shape, std::size_t bytes, std::size_t records = 0) {
  Text text;
  text.bytes = shape.head;
  while (text.bytes.size() < bytes || text.records < records) {
    if (text.records > 0) text.bytes += shape.between;
    text.bytes += shape.record(text.records++);
  }
  text.bytes += shape.tail;
  text.bytes.append(io::kPadding, '\0');
  return text;
}

}  // namespace penstock::bench
