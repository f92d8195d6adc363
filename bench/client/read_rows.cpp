#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <string>
#include <string_view>

#include "client/client.h"

/// Reads a result over any transport and says what a row cost: `read_rows DSN SQL row|column`. Prints one JSON object;
/// tools/compare-reading sets it beside another client on the same source. Every cell is read: numbers are added up,
/// lengths of texts too.
namespace {

using namespace penstock;
using data::Type;

struct Sums {
  std::uint64_t rows = 0;
  std::uint64_t nulls = 0;
  std::uint64_t whole = 0;
  double real = 0;
  std::uint64_t text_bytes = 0;
};

Sums by_row(client::Rows& rows) {
  Sums sums;
  const auto& fields = rows.fields();
  while (rows.next()) {
    ++sums.rows;
    for (std::size_t c = 0; c < fields.size(); ++c) {
      if (rows.is_null(c)) ++sums.nulls;
      else if (fields[c].type == Type::float32 || fields[c].type == Type::float64) sums.real += rows.real(c);
      else if (fields[c].type == Type::nchar) sums.text_bytes += rows.text(c).size();
      else if (data::is_variable(fields[c].type)) sums.text_bytes += rows.bytes(c).size();
      else sums.whole += rows.integer(c);
    }
  }
  return sums;
}

template <class T>
void add_column(const wire::Block& block, std::uint32_t column, Sums& sums) {
  const auto values = block.column<T>(column);
  for (std::uint32_t row = 0; row < block.rows(); ++row) {
    if (block.is_null(row, column)) ++sums.nulls;
    else if constexpr (std::is_floating_point_v<T>) sums.real += static_cast<double>(values[row]);
    else sums.whole += static_cast<std::uint64_t>(values[row]);
  }
}

Sums by_column(client::Rows& rows) {
  Sums sums;
  while (rows.next_block()) {
    const auto& block = rows.block();
    sums.rows += block.rows();
    for (std::uint32_t c = 0; c < block.columns(); ++c) {
      switch (block.type(c)) {
        case Type::boolean:
        case Type::utinyint: add_column<std::uint8_t>(block, c, sums); break;
        case Type::tinyint: add_column<std::int8_t>(block, c, sums); break;
        case Type::smallint: add_column<std::int16_t>(block, c, sums); break;
        case Type::usmallint: add_column<std::uint16_t>(block, c, sums); break;
        case Type::integer: add_column<std::int32_t>(block, c, sums); break;
        case Type::uinteger: add_column<std::uint32_t>(block, c, sums); break;
        case Type::bigint:
        case Type::timestamp: add_column<std::int64_t>(block, c, sums); break;
        case Type::ubigint: add_column<std::uint64_t>(block, c, sums); break;
        case Type::float32: add_column<float>(block, c, sums); break;
        case Type::float64: add_column<double>(block, c, sums); break;
        default:
          for (std::uint32_t row = 0; row < block.rows(); ++row) {
            if (block.is_null(row, c)) ++sums.nulls;
            else
              sums.text_bytes += block.type(c) == Type::nchar ? block.text(row, c).size() : block.bytes(row, c).size();
          }
      }
    }
  }
  return sums;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || (std::strcmp(argv[3], "row") != 0 && std::strcmp(argv[3], "column") != 0)) {
    std::cerr << "usage: read_rows DSN SQL row|column\n";
    return 2;
  }
  try {
    auto connection = client::Connection::open(argv[1]);
    const auto begin = std::chrono::steady_clock::now();
    const auto cpu = cpu_seconds();
    auto rows = connection.query(argv[2]);
    const auto sums = std::string_view(argv[3]) == "row" ? by_row(rows) : by_column(rows);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::cout << std::setprecision(17) << "{\"rows\":" << sums.rows << ",\"nulls\":" << sums.nulls
              << ",\"whole\":" << sums.whole << ",\"real\":" << sums.real << ",\"text_bytes\":" << sums.text_bytes
              << ",\"seconds\":" << took.count() << ",\"cpu_seconds\":" << cpu_seconds() - cpu << "}\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
