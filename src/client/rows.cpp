#include "client/rows.h"

#include <fmt/format.h>

#include <ctime>
#include <map>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "base/time_zone.h"
#include "client/detail/session.h"

namespace penstock::client {
namespace {

using data::Type;

// Zones are read once. Names that this machine does not know are UTC, as on the server.
std::shared_ptr<const TimeZone> zone_of(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> zones;
  const std::lock_guard lock(mutex);
  if (const auto found = zones.find(name); found != zones.end()) return found->second;
  std::shared_ptr<const TimeZone> zone;
  try {
    zone = TimeZone::load(name);
  } catch (const Error&) {
    // Stays null: UTC.
  }
  return zones.emplace(name, zone).first->second;
}

std::string hex(std::string_view bytes) {
  std::string out = "\\x";
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

Place place_of(const detail::ResultState& result) {
  return {result.session ? result.session->endpoint() : std::string(), "fetch", 0};
}

// The block of the current row; its row is not known to be there before the first next().
const wire::Block& current(const detail::ResultState& result) {
  if (!result.block || result.row == 0)
    throw InterfaceError(Errc::unsupported, "there is no current row: read cells only after next() returned true",
                         Place{{}, "read", 0});
  return *result.block;
}

}  // namespace

std::string time_text(Timestamp time, std::string_view zone_name) {
  const auto unit = data::units_per_second(time.precision);
  auto seconds = time.ticks / unit;
  auto fraction = time.ticks % unit;
  if (fraction < 0) {
    fraction += unit;
    --seconds;
  }
  std::int32_t offset = 0;
  if (!zone_name.empty()) {
    if (const auto zone = zone_of(zone_name)) offset = zone->offset_at(seconds);
  }
  std::tm parts{};
  const auto clock = static_cast<std::time_t>(seconds + offset);
  if (gmtime_r(&clock, &parts) == nullptr) return fmt::format("{}", time.ticks);
  const int digits = time.precision == data::Precision::milliseconds   ? 3
                     : time.precision == data::Precision::microseconds ? 6
                                                                       : 9;
  auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}", parts.tm_year + 1900, parts.tm_mon + 1,
                          parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, fraction, digits);
  if (offset == 0) return text + 'Z';
  const auto minutes = std::abs(offset) / 60;
  return text + fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

Rows::Rows(std::unique_ptr<detail::ResultState> state) : state_(std::move(state)) {}
Rows::Rows(Rows&&) noexcept = default;
Rows& Rows::operator=(Rows&&) noexcept = default;
Rows::~Rows() = default;

const std::vector<Field>& Rows::fields() const noexcept { return state_->fields; }
data::Precision Rows::precision() const noexcept { return state_->precision; }
std::int64_t Rows::affected_rows() const noexcept { return state_->affected_rows; }

std::size_t Rows::index_of(std::string_view name) const {
  std::string names;
  for (std::size_t i = 0; i < state_->fields.size(); ++i) {
    if (state_->fields[i].name == name) return i;
    names += (i == 0 ? "" : ", ") + printable(state_->fields[i].name);
  }
  throw InterfaceError(Errc::unsupported,
                       fmt::format("the result has no column '{}'; it has {}", printable(name), names), Place{});
}

bool Rows::next_block() {
  auto& result = *state_;
  result.block.reset();
  result.row = 0;
  while (!result.finished) {
    const auto bytes = result.fetch();
    if (bytes.empty()) {
      result.finished = true;
      break;
    }
    try {
      result.block = wire::Block::decode(bytes);
    } catch (const Error& error) {
      throw ResultError(Errc::protocol, error.what(), place_of(result));
    }
    if (result.block->columns() != result.fields.size())
      throw ResultError(
          Errc::protocol,
          fmt::format("a block of {} columns came for a result of {}", result.block->columns(), result.fields.size()),
          place_of(result));
    if (result.block->rows() > 0) return true;
    result.block.reset();
  }
  return false;
}

const wire::Block& Rows::block() const {
  if (!state_->block)
    throw InterfaceError(Errc::unsupported, "there is no block: call next_block() first", Place{{}, "read", 0});
  return *state_->block;
}

bool Rows::next() {
  auto& result = *state_;
  if (!result.block || result.row >= result.block->rows()) {
    if (!next_block()) return false;
  }
  ++result.row;
  return true;
}

bool Rows::is_null(std::size_t column) const {
  const auto& block = current(*state_);
  const auto c = static_cast<std::uint32_t>(column);
  if (block.is_null(state_->row - 1, c)) return true;
  // A JSON tag that was never set may come as this text.
  return block.type(c) == Type::json && block.bytes(state_->row - 1, c) == "null";
}

std::uint64_t Rows::integer(std::size_t column) const {
  return current(*state_).integer(state_->row - 1, static_cast<std::uint32_t>(column));
}

double Rows::real(std::size_t column) const {
  return current(*state_).real(state_->row - 1, static_cast<std::uint32_t>(column));
}

std::string Rows::text(std::size_t column) const {
  return is_null(column) ? std::string() : current(*state_).text(state_->row - 1, static_cast<std::uint32_t>(column));
}

std::string_view Rows::bytes(std::size_t column) const {
  return is_null(column) ? std::string_view()
                         : current(*state_).bytes(state_->row - 1, static_cast<std::uint32_t>(column));
}

Timestamp Rows::timestamp(std::size_t column) const {
  return {is_null(column) ? 0 : static_cast<std::int64_t>(integer(column)), state_->precision};
}

Value Rows::value(std::size_t column) const {
  if (is_null(column)) return Null{};
  const auto& block = current(*state_);
  const auto row = state_->row - 1;
  const auto c = static_cast<std::uint32_t>(column);
  switch (const Type type = block.type(c)) {
    case Type::boolean: return block.integer(row, c) != 0;
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint: return static_cast<std::int64_t>(block.integer(row, c));
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return block.integer(row, c);
    case Type::float32: return block.fixed<float>(row, c);
    case Type::float64: return block.fixed<double>(row, c);
    case Type::timestamp: return Timestamp{block.fixed<std::int64_t>(row, c), state_->precision};
    case Type::json: return Json{std::string(block.bytes(row, c))};
    case Type::varbinary:
    case Type::blob:
    case Type::mediumblob: return Binary{std::string(block.bytes(row, c))};
    case Type::geometry: return Geometry{std::string(block.bytes(row, c))};
    case Type::decimal64:
    case Type::decimal128: {
      const auto bytes = block.bytes(row, c);
      const auto low = wire::load<std::uint64_t>(bytes.data());
      const auto high = type == Type::decimal128             ? wire::load<std::int64_t>(bytes.data() + 8)
                        : static_cast<std::int64_t>(low) < 0 ? -1
                                                             : 0;
      return Decimal{low, high, block.digits(c), block.scale(c)};
    }
    default: return block.text(row, c);
  }
}

std::string Rows::display(std::size_t column) const {
  if (is_null(column)) return "NULL";
  switch (state_->fields[column].type) {
    case Type::timestamp: return time_text(timestamp(column), state_->time_zone());
    case Type::varbinary:
    case Type::blob:
    case Type::mediumblob:
    case Type::geometry: return hex(bytes(column));
    default: return text(column);
  }
}

std::vector<std::pair<std::string, Value>> Rows::named() const {
  std::vector<std::pair<std::string, Value>> out;
  out.reserve(state_->fields.size());
  for (std::size_t i = 0; i < state_->fields.size(); ++i) out.emplace_back(state_->fields[i].name, value(i));
  return out;
}

std::vector<std::vector<Value>> Rows::fetch_all() {
  std::vector<std::vector<Value>> rows;
  while (next()) {
    auto& row = rows.emplace_back();
    row.reserve(state_->fields.size());
    for (std::size_t i = 0; i < state_->fields.size(); ++i) row.push_back(value(i));
  }
  return rows;
}

}  // namespace penstock::client
