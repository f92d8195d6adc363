#include "sandbox/canned_source.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>

#include "sandbox/result_block.h"
#include "sandbox/sql_lexer.h"
#include "wire/block.h"
#include "wire/bytes.h"

namespace penstock::sandbox {
namespace {

using data::Type;

constexpr std::uint64_t kFirstTime = 1'700'000'000'000;

}  // namespace

CannedSource::CannedSource(std::uint64_t rows) : rows_(rows) {
  const auto field = [&](const char* name, Type type, std::int32_t length, std::int32_t stored) {
    fields_.push_back({name, type, length, stored, 0, 0});
  };
  field("ts", Type::timestamp, 8, 8);
  field("b", Type::boolean, 1, 1);
  field("i", Type::integer, 4, 4);
  field("g", Type::bigint, 8, 8);
  field("u", Type::ubigint, 8, 8);
  field("f", Type::float32, 4, 4);
  field("d", Type::float64, 8, 8);
  field("s", Type::varchar, 16, 18);
  field("n", Type::nchar, 8, 34);
  for (std::size_t i = 0; i < kBlocks; ++i) blocks_.push_back(block(i * kBlockRows, kBlockRows));
}

std::string CannedSource::block(std::uint64_t first, std::size_t rows) const {
  std::vector<wire::BlockWriter::Column> columns;
  for (const auto& field : fields_) columns.push_back({field.type, field.stored_bytes});
  wire::BlockWriter writer(columns);
  for (std::uint64_t r = first; r < first + rows; ++r) {
    const std::uint64_t k = r % (kBlocks * kBlockRows);
    writer.add_fixed(0, kFirstTime + r);
    writer.add_fixed(1, k % 2);
    if (k % 16 == 15) {
      for (std::uint32_t c = 2; c < fields_.size(); ++c) writer.add_null(c);
      continue;
    }
    writer.add_fixed(2, k);
    writer.add_fixed(3, k * 1'000'003);
    writer.add_fixed(4, (std::uint64_t{1} << 63) + k);
    writer.add_fixed(5, std::bit_cast<std::uint32_t>(static_cast<float>(k) / 4));
    writer.add_fixed(6, std::bit_cast<std::uint64_t>(static_cast<double>(k) / 8));
    writer.add_text(7, fmt::format("text {}", k));
    writer.add_text(8, fmt::format("\xe6\x96\x87{}", k));
  }
  return writer.finish(static_cast<std::uint32_t>(rows));
}

std::optional<std::uint64_t> CannedSource::rows_of(std::string_view sql) const {
  if (sql.size() > 200 || sql.find("canned") == std::string_view::npos) return std::nullopt;
  const auto tokens = tokenize(sql);
  constexpr std::string_view kWanted[] = {"select", "*", "from", "canned", ".", "rows"};
  if (tokens.size() <= std::size(kWanted)) return std::nullopt;
  for (std::size_t i = 0; i < std::size(kWanted); ++i) {
    if (!tokens[i].is(kWanted[i])) return std::nullopt;
  }
  std::size_t at = std::size(kWanted);
  std::uint64_t rows = rows_;
  if (tokens[at].is("limit") && at + 1 < tokens.size() && tokens[at + 1].kind == Token::Kind::integer) {
    const auto text = tokens[at + 1].text;
    if (std::from_chars(text.data(), text.data() + text.size(), rows).ec != std::errc{}) return std::nullopt;
    at += 2;
  }
  if (at < tokens.size() && tokens[at].is(";")) ++at;
  if (at >= tokens.size() || tokens[at].kind != Token::Kind::end) return std::nullopt;
  return rows;
}

CannedSource::Reader::Reader(const CannedSource& source, std::uint64_t rows)
    : source_(source), rows_(rows), blocks_(source.blocks_) {}

std::string_view CannedSource::Reader::next(std::size_t& rows) {
  rows = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockRows, rows_ - begun_));
  const auto first = begun_;
  begun_ += rows;
  if (rows == 0) return {};
  auto& block = blocks_[first / kBlockRows % kBlocks];
  if (rows < kBlockRows) return block = source_.block(first, rows);
  // Behind the heads of block and columns and the bitmap of ts.
  char* const times = block.data() + 28 + 9 * source_.fields_.size() + kBlockRows / 8;
  for (std::uint64_t r = 0; r < kBlockRows; ++r) wire::store(times + 8 * r, kFirstTime + first + r);
  return block;
}

}  // namespace penstock::sandbox
