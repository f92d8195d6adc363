#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "base/text.h"
#include "format/csv_copy.h"
#include "format/csv_number.h"
#include "format/csv_steps.h"

/// The fields that the loop over a record does not read itself: in quotes, NULL, of other types, in other spellings.
namespace penstock::format {

using data::Slot;
using data::Type;

bool CsvParser::is_null(std::string_view text) const noexcept {
  if (text.empty()) return true;
  if (nulls_first_[static_cast<unsigned char>(text.front())] == '\0') return false;
  return std::find(plan_.nulls.begin(), plan_.nulls.end(), text) != plan_.nulls.end();
}

bool CsvParser::decode(std::string_view raw, Field& field) {
  const auto bare = csv_trimmed(raw);
  const bool quoted = plan_.dialect.quote != '\0' && !bare.empty() && bare.front() == plan_.dialect.quote;
  if (!quoted && plan_.dialect.escape == '\0') {
    field = {raw, false};
    return true;
  }
  if (quoted && plan_.dialect.escape == '\0' && bare.size() >= 2 && bare.back() == plan_.dialect.quote) {
    // The usual case: nothing inside needs to be changed.
    const auto inner = bare.substr(1, bare.size() - 2);
    if (inner.empty() || std::memchr(inner.data(), plan_.dialect.quote, inner.size()) == nullptr) {
      field = {inner, true};
      return true;
    }
  }
  auto decoded = unquote(raw, plan_.dialect);
  if (decoded.broken) {
    const auto at = static_cast<std::size_t>(bare.data() - chunk_->text.data());
    reject(at, 0,
           fmt::format("text stands behind the closing quote of field '{}' (a quote inside quotes is doubled)",
                       printable(raw, 40)));
    return false;
  }
  unquoted_.assign(decoded.text);
  unquoted_.append(io::kPadding, '\0');  // the number kernels read past the end
  field = {std::string_view(unquoted_).substr(0, decoded.text.size()), decoded.quoted};
  return true;
}

/// A usual value in quotes that need only be taken off. False: read_slowly() knows what it is.
bool CsvParser::read_quoted(const Step& step, std::string_view raw, Slot& slot) {
  if (!step.plain_quotes || raw.size() < 3 || raw.back() != plan_.dialect.quote) return false;
  const auto inner = raw.substr(1, raw.size() - 2);
  const char* const end = inner.data() + inner.size();
  switch (step.how) {
    case CsvHow::integer: {
      const bool negative = inner.front() == '-';
      std::uint64_t magnitude = 0;
      unsigned digits = 0;
      const char* const stop = read_digits(inner.data() + negative, magnitude, digits);
      const auto value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
      if (stop != end || digits - 1 > 17 || value < step.low || value > step.high) return false;
      slot = data::slot_of(value);
      return true;
    }
    case CsvHow::real: {
      double value = 0;
      if (!read_whole_double(inner.data(), end, value)) return false;
      slot = data::slot_of(value);
      return true;
    }
    case CsvHow::varchar:
    case CsvHow::nchar: {
      if (inner.size() > data::Limits::nchar || std::memchr(inner.data(), plan_.dialect.quote, inner.size()) != nullptr)
        return false;
      char* const to = rows_->begin_text(inner.size() + kCopySlack);
      if (!copy_text(to, inner.data(), inner.size()) && step.how == CsvHow::nchar && !is_utf8(inner)) return false;
      slot = rows_->commit_text(static_cast<std::uint32_t>(inner.size()));
      return true;
    }
    default: return false;
  }
}

bool CsvParser::read_time(const Step& step, std::string_view raw) {
  // In quotes: neither spelling of these times has any inside.
  if (step.plain_quotes && raw.size() > 2 && raw.front() == plan_.dialect.quote && raw.back() == raw.front() &&
      static_cast<unsigned char>(raw[1] - '0') < 10 && !numeric_nulls_ &&
      step.times->format().kind != TimeFormat::Kind::pattern &&
      step.times->read(raw.substr(1, raw.size() - 2), time_) == TimeStatus::ok)
    return true;
  Field field;
  if (!decode(raw, field)) return false;
  const auto text = csv_trimmed(field.text);
  if (is_null(text)) {
    reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0,
           fmt::format("the timestamp '{}' is {}", printable(step.column->csv_name), text.empty() ? "empty" : "NULL"));
    return false;
  }
  const auto status = step.times->read(text, time_);
  if (status == TimeStatus::ok) return true;
  refuse_time(step, raw, status);
  return false;
}

bool CsvParser::read_joined_time(const Step& step, std::string_view date, std::string_view clock) {
  Field field;
  std::string_view shown(date.data(), static_cast<std::size_t>(clock.data() + clock.size() - date.data()));
  if (clock.data() < date.data()) shown = date;
  if (!decode(date, field)) return false;
  const std::string day(csv_trimmed(field.text));  // both may live in unquoted_
  if (!decode(clock, field)) return false;
  const auto hour = csv_trimmed(field.text);
  for (const auto& [text, column] :
       {std::pair(std::string_view(day), plan_.timestamp), std::pair(hour, *plan_.clock)}) {
    if (!is_null(text)) continue;
    reject(static_cast<std::size_t>(date.data() - chunk_->text.data()), 0,
           fmt::format("the timestamp '{}' is {}", printable(plan_.columns[column].csv_name),
                       text.empty() ? "empty" : "NULL"));
    return false;
  }
  const auto status = step.times->read_joined(day, hour, time_);
  if (status == TimeStatus::ok) return true;
  refuse_time(step, shown, status);
  return false;
}

CsvParser::Outcome CsvParser::read_slowly(const Step& step, std::string_view raw, Slot& slot) {
  Field field;
  if (!decode(raw, field)) return Outcome::bad;
  if (step.type == Type::varchar || step.type == Type::nchar) {
    // Quoted, a null spelling is text; and so is nothing at all.
    if (!field.quoted && is_null(csv_trimmed(field.text))) return Outcome::null;
    return read_text(step, field, raw, slot);
  }
  auto text = csv_trimmed(field.text);
  if (data::is_variable(step.type)) {
    if (text.empty() ? (!field.quoted || step.type == Type::geometry) : (!field.quoted && is_null(text)))
      return Outcome::null;
    return read_text(step, field, raw, slot);
  }
  if (is_null(text)) return Outcome::null;
  if (step.type == Type::timestamp) {
    std::int64_t time = 0;
    const auto status = step.times->read(text, time);
    if (status != TimeStatus::ok) {
      refuse_time(step, raw, status);
      return Outcome::bad;
    }
    slot = data::slot_of(time);
    return Outcome::value;
  }
  if (step.column->decimal_comma && text.find(',') != std::string_view::npos) {
    scratch_.clear();
    for (const char c : text) {
      if (c != '.') scratch_ += c == ',' ? '.' : c;
    }
    scratch_.append(io::kPadding, '\0');
    text = std::string_view(scratch_).substr(0, scratch_.size() - io::kPadding);
  }
  auto fit = Fit::ok;
  if (step.type == Type::decimal128) {
    std::array<char, 16> image{};
    fit = read_decimal128(step.precision, step.scale, text, image);
    if (fit == Fit::ok) {
      char* const to = rows_->begin_text(image.size());
      std::memcpy(to, image.data(), image.size());
      rows_->commit_text(image.size());
      slot = reinterpret_cast<Slot>(to);
    }
  } else {
    fit = read_fixed(step.type, step.precision, step.scale, text, slot);
  }
  if (fit == Fit::ok) return Outcome::value;
  refuse_value(step, raw, fit, {});
  return Outcome::bad;
}

CsvParser::Outcome CsvParser::read_text(const Step& step, const Field& field, std::string_view raw, Slot& slot) {
  std::string_view bytes;
  const char* why = nullptr;
  auto fit = read_variable(step.type, field.text, scratch_, bytes, why);
  // Whoever asks for VARBINARY may write bytes as they are; where it was inferred, another text contradicts.
  if (step.type == Type::varbinary && step.column->inferred && !field.text.empty() && !field.text.starts_with('\\'))
    fit = Fit::no_value;
  if (fit != Fit::ok) {
    refuse_value(step, raw, fit, why == nullptr ? std::string_view() : std::string_view(why));
    return Outcome::bad;
  }
  slot = rows_->add_text(bytes);
  return Outcome::value;
}

}  // namespace penstock::format
