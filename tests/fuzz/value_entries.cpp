// Small texts: numbers, times, geometries, mapping files, conversions.

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_time.h"
#include "format/number.h"
#include "base/time_zone.h"
#include "format/wkt.h"
#include "fuzz/entry.h"
#include "schema/coerce.h"
#include "schema/mapping.h"

namespace penstock::fuzz {

// Numbers of the schemaless protocols are those of C's strtod with a suffix.
void numbers(std::string_view input) {
  const std::string text(input);
  format::Number number;
  const char* const wrong = format::parse_number(input, number);
  char* end = nullptr;
  const double real = std::strtod(text.c_str(), &end);
  const auto used = static_cast<std::size_t>(end - text.c_str());
  const std::string_view rest = input.substr(used);
  if (wrong == nullptr) {
    FUZZ_PROMISE(used > 0);
    FUZZ_PROMISE(number.suffix_bytes == rest.size());
    if (number.type == data::Type::float64) {
      const auto have = std::bit_cast<double>(number.slot);
      FUZZ_PROMISE(std::isnan(real) ? std::isnan(have) : std::bit_cast<std::uint64_t>(real) == number.slot);
    }
    if (number.type == data::Type::bigint) {
      errno = 0;
      FUZZ_PROMISE(static_cast<std::int64_t>(number.slot) == std::strtoll(text.c_str(), nullptr, 10));
    }
    if (number.type == data::Type::integer)
      FUZZ_PROMISE(static_cast<std::int64_t>(number.slot) == static_cast<std::int32_t>(real));
  } else {
    FUZZ_PROMISE(wrong[0] != '\0');
    FUZZ_PROMISE(used == 0 || !rest.empty());  // a plain number is one
  }
}

void times(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const auto split = std::min(input.find('\n'), input.size());
  const std::string pattern(input.substr(0, split));
  // Readable bytes behind the text are part of the contract.
  std::string padded(input.substr(std::min(split + 1, input.size())));
  const auto size = padded.size();
  padded.append(8, '7');
  const std::string_view text = std::string_view(padded).substr(0, size);
  format::CivilTime civil;
  const bool iso = format::parse_iso_time(text, civil);
  if (iso) {
    FUZZ_PROMISE(civil.nanoseconds < 1'000'000'000);
    FUZZ_PROMISE(civil.has_offset || civil.offset == 0);
    FUZZ_PROMISE(std::abs(civil.offset) <= 24 * 3600);
  }
  format::TimeSummary summary;
  summary.add(text);
  FUZZ_PROMISE(summary.iso == (iso ? 1u : 0u) || !iso || summary.iso == 1);
  static const auto berlin = TimeZone::load("Europe/Berlin");
  try {
    const auto format = format::TimeFormat::parse(pattern);
    const auto unit = static_cast<data::Precision>(how % 3);
    const auto zone = how & 4 ? berlin : nullptr;
    const auto read = [&](format::TimeReader& reader) {
      std::int64_t time = -77;
      const auto status = reader.read(text, time);
      FUZZ_PROMISE(status == format::TimeStatus::ok || time == -77);
      return std::to_string(static_cast<int>(status)) + " " + std::to_string(time);
    };
    format::TimeReader reader(format, unit, zone,
                              how & 8 ? schema::CsvMapping::DstGap::shift : schema::CsvMapping::DstGap::reject,
                              how & 16 ? schema::CsvMapping::DstFold::second : schema::CsvMapping::DstFold::first);
    const auto once = read(reader);
    FUZZ_SAME(read(reader), once);  // whatever it remembers
  } catch (const Error& error) {
    FUZZ_PROMISE(error.code() == Errc::config && error.what()[0] != '\0');
  }
}

void zones(std::string_view input) {
  try {
    const auto zone = TimeZone::from_tzif(input, "fuzz");
    std::int64_t at = -10'000'000'000;
    for (int i = 0; i < 200; ++i) {
      const auto local = zone->resolve(at);
      FUZZ_PROMISE(local.from <= at && at < local.until);
      if (local.kind == TimeZone::Kind::unique) FUZZ_PROMISE(local.first == local.second);
      at = local.until > at + 200'000'000 ? at + 200'000'000 : local.until;
      FUZZ_PROMISE(zone->offset_at(at) != INT32_MIN);
    }
  } catch (const Error& error) {
    FUZZ_PROMISE(error.code() == Errc::config);
  }
}

void wkt(std::string_view input) {
  std::string wkb = "before";
  const char* const wrong = format::wkt_to_wkb(input, wkb);
  if (wrong != nullptr) {
    FUZZ_PROMISE(wkb == "before" && wrong[0] != '\0');
    // As bytes instead.
    std::string text;
    if (!format::wkb_to_wkt(input, text)) FUZZ_PROMISE(text.empty());
    return;
  }
  wkb.erase(0, 6);
  std::string text;
  FUZZ_PROMISE(format::wkb_to_wkt(wkb, text));
  std::string again;
  const char* const wrong_again = format::wkt_to_wkb(text, again);
  if (wrong_again != nullptr || again != wkb) broken(__FILE__, __LINE__, "WKT and WKB are the same geometry", text);
}

void mapping(std::string_view input) {
  schema::CsvMapping made;
  try {
    made = schema::csv_mapping_from_toml(input, "mapping.toml");
  } catch (const Error& error) {
    FUZZ_PROMISE(error.code() == Errc::config && error.what()[0] != '\0');
    return;
  }
  const auto toml = schema::to_toml(made);
  try {
    if (!(schema::csv_mapping_from_toml(toml, "again.toml") == made))
      broken(__FILE__, __LINE__, "a mapping that was written reads back the same", toml);
  } catch (const Error& error) {
    broken(__FILE__, __LINE__, error.what(), toml);
  }
}

// What is converted comes back the same.
void coerce(std::string_view input) {
  using data::Type;
  static constexpr Type kTypes[] = {Type::boolean,  Type::tinyint,   Type::smallint, Type::integer,   Type::bigint,
                                    Type::utinyint, Type::usmallint, Type::uinteger, Type::ubigint,   Type::float32,
                                    Type::float64,  Type::varchar,   Type::nchar,    Type::decimal64, Type::decimal128};
  Steering steering(input);
  const Type from = kTypes[steering.below(13)];
  data::Column to;
  to.type = kTypes[steering.below(std::size(kTypes))];
  to.precision = to.type == Type::decimal64 ? 18 : 38;
  to.scale = static_cast<std::uint8_t>(steering.below(to.precision));
  schema::Scalar value;
  value.type = from;
  if (data::is_variable(from)) {
    value.text = input;
  } else {
    std::memcpy(&value.bits, input.data(), std::min(input.size(), sizeof value.bits));
    const auto bits = 8 * data::fixed_size(from);
    if (from == Type::boolean) value.bits &= 1;
    else if (bits < 64 && from >= Type::tinyint && from <= Type::bigint)
      value.bits = static_cast<data::Slot>(static_cast<std::int64_t>(value.bits << (64 - bits)) >> (64 - bits));
    else if (bits < 64) value.bits = value.bits << (64 - bits) >> (64 - bits);
  }
  FUZZ_PROMISE(schema::shown(value).size() < 64);
  data::Slot bits = 0;
  std::string text;
  if (!schema::coerce(value, to, bits, text)) return;
  FUZZ_PROMISE(schema::may_coerce(from, to.type));
  if (to.type == Type::nchar && from != Type::nchar) FUZZ_PROMISE(is_utf8(text));
  if (to.type == Type::decimal64 || to.type == Type::decimal128) return;
  data::Column back;
  back.type = from;
  data::Slot back_bits = 0;
  std::string back_text;
  const bool again = schema::coerce({to.type, bits, text}, back, back_bits, back_text);
  if (from == Type::float32 || from == Type::float64) {
    const double real = from == Type::float64
                            ? std::bit_cast<double>(value.bits)
                            : static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value.bits)));
    if (!std::isfinite(real) || real == 0) return;  // "nan" is no number to read back, -0 becomes 0
    // Large integers go into floats only as far as every integer does.
    const double exact = from == Type::float64 ? 0x1p53 : 0x1p24;
    if (std::abs(real) > exact && data::fixed_size(to.type) > 0 && to.type != Type::float32 && to.type != Type::float64)
      return;
    FUZZ_PROMISE(again && back_bits == value.bits);
  } else if (!data::is_variable(from)) {
    FUZZ_PROMISE(again && back_bits == value.bits);
  } else if (data::is_variable(to.type) && is_utf8(value.text)) {
    FUZZ_PROMISE(again && back_text == value.text);
  }
}

}  // namespace penstock::fuzz
