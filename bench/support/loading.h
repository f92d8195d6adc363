#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/parser.h"
#include "io/cutter.h"
#include "schema/growth.h"
#include "schema/registry.h"
#include "sink/memory_catalog.h"
#include "sink/window.h"
#include "sink/writer.h"

/// What stands before a lane, in one thread and without files: for benches of the stages behind it.
namespace penstock::bench {

inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

/// Calls visit(chunk) for each chunk of the text, cut as the reader cuts files.
template <class Visit>
void for_each_chunk(std::string_view text, const io::Cutting& cutting, Visit&& visit) {
  io::Cutter cutter(cutting, kChunkBytes, std::size_t{16} << 20);
  io::Chunk chunk;
  for (std::size_t at = 0; at < text.size();) {
    const auto cut = cutter.cut(text.substr(at), true);
    if (cut.kind == io::Cut::Kind::end) break;
    if (cut.kind != io::Cut::Kind::records) throw std::logic_error("the text is not whole records");
    chunk.offset = at;
    chunk.text = text.substr(at, cut.bytes);
    visit(std::as_const(chunk));
    ++chunk.seq;
    at += cut.bytes;
  }
}

/// Registry and schema stage over an empty database without a server.
class Loading {
 public:
  schema::Registry registry;
  sink::MemoryCatalog catalog;
  schema::Growth growth{catalog, registry, {}};

  /// Parses and admits. Throws std::logic_error when a record is refused: inputs of benches are good.
  std::shared_ptr<sink::ParsedChunk> take(format::Parser& parser, const io::Chunk& chunk) {
    auto made = std::make_shared<sink::ParsedChunk>(nullptr);
    made->chunk = chunk;
    parser.parse(chunk, made->rows);
    growth.admit(made->rows);
    if (!made->rows.rejects().empty()) throw std::logic_error(made->rows.rejects().front().reason.text);
    for (const auto& shape : made->rows.shapes()) {
      const auto& version = shape.resolved->table->version;
      if (std::find(made->versions.begin(), made->versions.end(), version) == made->versions.end())
        made->versions.push_back(version);
    }
    return made;
  }

  /// All rows of a chunk.
  static sink::Part part(const std::shared_ptr<sink::ParsedChunk>& chunk) {
    sink::Part made{chunk, {}};
    made.rows.reserve(chunk->rows.row_count());
    chunk->rows.for_each_row([&](data::Row& row) { made.rows.push_back(&row); });
    return made;
  }
};

/// Counts what a writer tells.
class Observer final : public sink::WriteObserver {
 public:
  void rejected(const sink::ParsedChunk&, const data::Row&, std::int32_t, std::string_view reason) override {
    throw std::logic_error(std::string(reason));
  }
  void acknowledged(std::uint64_t more, std::uint64_t joined, std::uint64_t, std::uint64_t children, std::uint64_t size,
                    std::chrono::nanoseconds) override {
    rows += more;
    merged += joined;
    runs += children;
    bytes += size;
  }
  void retried() override {}
  void reconnected() override {}
  void built(std::chrono::nanoseconds) override {}
  void waited(std::chrono::nanoseconds) override {}
  void before_send(std::uint64_t, std::uint64_t) override {}

  std::uint64_t rows = 0, merged = 0, runs = 0, bytes = 0;
};

}  // namespace penstock::bench
