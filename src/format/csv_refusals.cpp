#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "format/csv_steps.h"

namespace penstock::format {

using data::Type;

bool CsvParser::is_header_again() const noexcept {
  return !plan_.header.empty() &&
         chunk_->text.substr(record_begin_, record_end_ - record_begin_) == std::string_view(plan_.header);
}

void CsvParser::reject(std::size_t from, std::uint16_t code, std::string text) {
  if (is_header_again()) return;  // where files were put together; its "timestamp" never reads as one
  const auto begin = std::min<std::size_t>(record_begin_, from);
  rows_->reject({record_begin_,
                 record_end_ - record_begin_,
                 static_cast<std::uint32_t>(from - begin + 1),
                 {code, std::move(text)}});
}

void CsvParser::reject_broken(std::uint32_t begin, std::uint32_t end, std::uint32_t at) {
  record_begin_ = begin;
  record_end_ = end;
  reject(at, 0, "a quote opens a field here and is not closed; --quote '' reads quotes as text");
}

void CsvParser::reject_unnamed_table(std::uint32_t begin, std::uint32_t end, const std::uint32_t* ends,
                                     std::size_t count, std::size_t column) {
  record_begin_ = begin;
  record_end_ = end;
  const auto raw = raw_field(ends, count, column);
  reject(raw.data() == nullptr ? record_end_ : static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0,
         fmt::format("column '{}' names the super table and is {}", printable(plan_.columns[column].csv_name),
                     column >= count ? "missing" : "NULL or empty"));
}

// The value does not fit the column's type. Was the type only inferred, another one can be taken.
void CsvParser::refuse_typed(const Step& step, std::string_view raw, std::string text) {
  if (options_.contradictions && step.column->inferred && !is_header_again())
    throw Contradiction(plan_.table, step.column->csv_name, printable(raw, 40), text);
  reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0, std::move(text));
}

bool CsvParser::refuse_absent(const Step& step, std::string_view raw) {
  Field field;
  if (!decode(raw, field)) return true;
  const auto value = csv_trimmed(field.text);
  if (value.empty() || (!field.quoted && is_null(value))) return false;
  const auto& name = step.column->csv_name;
  refuse_typed(
      step, raw,
      fmt::format("column '{}' had no value in the sample and was not made in super table '{}', but here it is "
                  "'{}'; --type '{}=VARCHAR' makes it",
                  printable(name), plan_.table, printable(raw, 40), printable(name)));
  return true;
}

void CsvParser::refuse_value(const Step& step, std::string_view raw, Fit fit, std::string_view detail) {
  const auto& name = step.column->csv_name;
  const auto type = step.type == Type::decimal64 || step.type == Type::decimal128
                        ? fmt::format("DECIMAL({},{})", step.precision, step.scale)
                        : std::string(data::type_name(step.type));
  const auto value = printable(raw, 40);
  std::string text;
  if (step.column->existing && (fit == Fit::out_of_range || (fit == Fit::no_value && detail.empty()))) {
    const auto range = range_text(step.type);
    const auto kind = classify(csv_trimmed(raw).substr(0, 1) == std::string_view(&plan_.dialect.quote, 1)
                                   ? unquote(raw, plan_.dialect).text
                                   : std::string(raw));
    return reject(
        static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0,
        fmt::format(
            "'{}' in column '{}' reads as {}, but the super table has it as {}{}; --null '{}' reads it as NULL, "
            "--rename '{}=…' puts the column beside it",
            value, name, kind_name(kind), type, range.empty() ? std::string() : fmt::format(" ({})", range), value,
            name));
  }
  switch (fit) {
    case Fit::out_of_range: {
      const auto range = range_text(step.type);
      text = fmt::format("'{}' in column '{}' does not fit {}{}; a wider type takes it (--type '{}=…')", value, name,
                         type, range.empty() ? std::string() : fmt::format(" ({})", range), name);
      break;
    }
    case Fit::too_long:
      text = fmt::format("the value of column '{}' has {} bytes, more than {} can hold", name, raw.size(), type);
      break;
    case Fit::not_utf8:
      text = fmt::format(
          "'{}' in column '{}' is not UTF-8; convert the file first (iconv), or take it as bytes with --type "
          "'{}=VARCHAR'",
          value, name, name);
      break;
    default:
      text = fmt::format(
          "'{}' in column '{}' is no {}{}{}; --null '{}' reads it as NULL, --type '{}=VARCHAR' the column as text",
          value, name, type, detail.empty() ? "" : ": ", detail, value, name);
  }
  if (fit == Fit::no_value || fit == Fit::out_of_range) return refuse_typed(step, raw, std::move(text));
  reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0, std::move(text));
}

void CsvParser::refuse_time(const Step& step, std::string_view raw, TimeStatus status) {
  const auto value = printable(raw, 40);
  const auto& name = step.column->csv_name;
  const auto zone = plan_.zone == nullptr ? std::string("UTC") : plan_.zone->name();
  std::string text;
  switch (status) {
    case TimeStatus::too_fine:
      text = fmt::format("time '{}' in column '{}' is finer than {}; read it with --precision us or ns", value, name,
                         data::precision_name(plan_.time_unit));
      break;
    case TimeStatus::out_of_range:
      text = fmt::format("time '{}' in column '{}', read as {}, is outside what {} can hold", value, name,
                         step.column->time.text(),
                         plan_.time_unit == data::Precision::nanoseconds ? "nanoseconds (1677 to 2262)"
                                                                         : "a timestamp (0000 to 9999)");
      break;
    case TimeStatus::gap:
      text = fmt::format(
          "local time '{}' in column '{}' does not exist in {}: daylight saving skips it; --dst-gap shift moves it on",
          value, name, zone);
      break;
    case TimeStatus::fold:
      text = fmt::format("local time '{}' in column '{}' comes twice in {}; --dst-fold first or second takes one",
                         value, name, zone);
      break;
    default: {
      const auto form = suggested_time_format(csv_trimmed(raw));
      text = fmt::format("'{}' in column '{}' is no time ({} is expected); {}", value, name, step.column->time.text(),
                         form.empty() ? "--time-format tells another form"
                                      : fmt::format("--time-format '{}' reads it", printable(form)));
    }
  }
  // Of the timestamp that keys the rows the type is no matter of choice.
  if (step.how != CsvHow::time && status == TimeStatus::bad) return refuse_typed(step, raw, std::move(text));
  reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0, std::move(text));
}

}  // namespace penstock::format
