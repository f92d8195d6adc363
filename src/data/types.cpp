#include "data/types.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

namespace penstock::data {
namespace {

constexpr std::array<std::pair<Type, std::string_view>, 22> kNames{{
    {Type::null, "NULL"},
    {Type::boolean, "BOOL"},
    {Type::tinyint, "TINYINT"},
    {Type::smallint, "SMALLINT"},
    {Type::integer, "INT"},
    {Type::bigint, "BIGINT"},
    {Type::float32, "FLOAT"},
    {Type::float64, "DOUBLE"},
    {Type::varchar, "VARCHAR"},
    {Type::timestamp, "TIMESTAMP"},
    {Type::nchar, "NCHAR"},
    {Type::utinyint, "TINYINT UNSIGNED"},
    {Type::usmallint, "SMALLINT UNSIGNED"},
    {Type::uinteger, "INT UNSIGNED"},
    {Type::ubigint, "BIGINT UNSIGNED"},
    {Type::json, "JSON"},
    {Type::varbinary, "VARBINARY"},
    {Type::decimal128, "DECIMAL"},
    {Type::blob, "BLOB"},
    {Type::mediumblob, "MEDIUMBLOB"},
    {Type::geometry, "GEOMETRY"},
    {Type::decimal64, "DECIMAL"},
}};

}  // namespace

std::string_view type_name(Type type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < kNames.size() ? kNames[index].second : std::string_view("UNKNOWN");
}

std::optional<Type> type_from_name(std::string_view name) noexcept {
  std::string upper;
  bool blank = false;
  for (const char c : name) {
    if (c == ' ' || c == '\t') {
      blank = !upper.empty();
      continue;
    }
    if (blank) upper += ' ';
    blank = false;
    upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  if (upper == "BINARY") return Type::varchar;
  if (upper == "INTEGER") return Type::integer;
  if (upper == "INTEGER UNSIGNED") return Type::uinteger;
  if (upper == "BOOLEAN") return Type::boolean;
  const auto* const found =
      std::find_if(kNames.begin() + 1, kNames.end(), [&](const auto& n) { return n.second == upper; });
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

std::string_view precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::milliseconds: return "ms";
    case Precision::microseconds: return "us";
    case Precision::nanoseconds: return "ns";
  }
  return "ms";
}

std::optional<Precision> precision_from_name(std::string_view name) noexcept {
  if (name == "ms") return Precision::milliseconds;
  if (name == "us" || name == "u") return Precision::microseconds;
  if (name == "ns") return Precision::nanoseconds;
  return std::nullopt;
}

}  // namespace penstock::data
