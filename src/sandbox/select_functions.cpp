#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/hash.h"
#include "base/text.h"
#include "sandbox/select_bind.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Args = std::vector<Datum>;

enum class Takes { any, number, text, nothing };

struct Function {
  std::string_view name;
  std::size_t least, most;
  Takes takes;
  TypeInfo type;  ///< length 0 of a text: as long as the arguments together
  Datum (*call)(const Args&, const EvalContext&, const Expr&);
};

TypeInfo simple(Type type) { return {type, static_cast<std::int32_t>(data::fixed_size(type)), 0, 0}; }
const TypeInfo kDouble = simple(Type::float64);
const TypeInfo kBigint = simple(Type::bigint);
const TypeInfo kSame{Type::null, 0, 0, 0};  // that of the first argument
TypeInfo text(std::int32_t length) { return {Type::varchar, length, 0, 0}; }

/// Character `index` (from 0) begins at this byte.
std::size_t character(std::string_view s, std::size_t index) {
  std::size_t at = 0;
  for (; at < s.size(); ++at) {
    if ((static_cast<unsigned char>(s[at]) & 0xC0) == 0x80) continue;
    if (index-- == 0) break;
  }
  return at;
}

template <double (*F)(double)>
Datum math(const Args& a, const EvalContext&, const Expr&) {
  const double v = F(to_double(a[0]));
  return std::isfinite(v) ? Datum::of_double(v) : Datum::none(Type::float64);
}

template <double (*F)(double)>
Datum rounded(const Args& a, const EvalContext&, const Expr& e) {
  if (is_integer(a[0].type)) return a[0];
  return cast_to(Datum::of_double(F(to_double(a[0]))), e.type, data::Precision::milliseconds);
}

Datum round_digits(const Args& a, const EvalContext&, const Expr& e) {
  if (is_integer(a[0].type)) return a[0];
  const double scale = a.size() > 1 ? std::pow(10.0, static_cast<double>(to_int64(a[1]))) : 1;
  return cast_to(Datum::of_double(std::round(to_double(a[0]) * scale) / scale), e.type, data::Precision::milliseconds);
}

Datum truncate_digits(const Args& a, const EvalContext&, const Expr& e) {
  if (is_integer(a[0].type)) return a[0];
  const double scale = std::pow(10.0, static_cast<double>(to_int64(a[1])));
  return cast_to(Datum::of_double(std::trunc(to_double(a[0]) * scale) / scale), e.type, data::Precision::milliseconds);
}

Datum absolute(const Args& a, const EvalContext&, const Expr&) {
  if (is_unsigned(a[0].type)) return a[0];
  auto v = a[0];
  if (is_float(v.type)) return cast_to(Datum::of_double(std::abs(to_double(v))), {v.type, 8, 0, 0}, {});
  if (v.as_int64() < 0) v.bits = 0 - v.bits;
  return v;
}

template <int (*F)(int)>
Datum each_letter(const Args& a, const EvalContext&, const Expr&) {
  auto v = a[0];
  for (auto& c : v.text) {
    if (static_cast<unsigned char>(c) < 128) c = static_cast<char>(F(c));
  }
  return v;
}

std::string_view trimmed(std::string_view s, bool left, bool right) {
  while (left && !s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (right && !s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}
template <bool Left, bool Right>
Datum trim(const Args& a, const EvalContext&, const Expr&) {
  return Datum::of_text(trimmed(a[0].text, Left, Right), a[0].type);
}

Datum concat(const Args& a, const EvalContext&, const Expr& e) {
  std::string out;
  for (const auto& v : a) out += v.text;
  return Datum::of_text(out, e.type.type);
}
Datum concat_ws(const Args& a, const EvalContext&, const Expr& e) {
  std::string out;
  for (std::size_t i = 1; i < a.size(); ++i) out += (i > 1 ? a[0].text : "") + a[i].text;
  return Datum::of_text(out, e.type.type);
}

Datum substring(const Args& a, const EvalContext&, const Expr&) {
  const std::string_view s = a[0].text;
  const auto length = static_cast<std::int64_t>(utf8_length(s));
  auto from = to_int64(a[1]);
  if (from < 0) from = length + from + 1;
  if (from < 1 || from > length) return Datum::of_text("", a[0].type);
  const auto count = a.size() > 2 ? std::max<std::int64_t>(0, to_int64(a[2])) : length;
  const auto begin = character(s, static_cast<std::size_t>(from - 1));
  const auto end = character(s, static_cast<std::size_t>(std::min(length, from - 1 + std::min(count, length))));
  return Datum::of_text(s.substr(begin, end - begin), a[0].type);
}

Datum replace(const Args& a, const EvalContext&, const Expr&) {
  auto v = a[0];
  if (a[1].text.empty()) return v;
  for (std::size_t at = 0; (at = v.text.find(a[1].text, at)) != std::string::npos; at += a[2].text.size()) {
    v.text.replace(at, a[1].text.size(), a[2].text);
    if (v.text.size() > data::Limits::varchar) refuse(0x2801, "Invalid parameter value : replace");
  }
  return v;
}

Datum to_iso8601(const Args& a, const EvalContext& c, const Expr&) {
  const auto time = to_int64(a[0]);
  if (a.size() > 1 && a[1].text != "Z" && a[1].text != "z") {
    const auto zoned =
        parse_time_text("2000-01-01T00:00:00" + a[1].text, data::Precision::milliseconds, *TimeZone::find(""));
    if (!zoned) refuse(0x2803, "Invalid timezone format");
    const auto offset = (946684800000 - *zoned) / 1000;
    return Datum::of_text(format_iso8601(time, c.precision, static_cast<std::int32_t>(offset), a[1].text));
  }
  if (a.size() > 1) return Datum::of_text(format_iso8601(time, c.precision, 0, a[1].text));
  return Datum::of_text(format_iso8601(time, c.precision, *c.session->zone));
}

Datum to_unixtimestamp(const Args& a, const EvalContext& c, const Expr&) {
  const auto time = parse_time_text(a[0].text, c.precision, *c.session->zone);
  return time ? Datum::of_int(*time) : Datum::none(Type::bigint);
}

Datum timezone_name(const Args&, const EvalContext& c, const Expr&) {
  const auto now = now_in(data::Precision::milliseconds) / 1000;
  const auto& zone = *c.session->zone;
  const auto offset = zone.offset_at(now);
  return Datum::of_text(fmt::format("{} ({}, {}{:02}{:02})", zone.name(), zone.abbreviation_at(now),
                                    offset < 0 ? '-' : '+', std::abs(offset) / 3600, std::abs(offset) / 60 % 60));
}

Datum timediff(const Args& a, const EvalContext& c, const Expr& e) {
  const auto time = [&](const Datum& v) {
    return is_text(v.type) ? parse_time_text(v.text, c.precision, *c.session->zone) : std::optional(to_int64(v));
  };
  const auto x = time(a[0]);
  const auto y = time(a[1]);
  if (!x || !y) return Datum::none(Type::bigint);
  const auto unit = a.size() > 2 ? duration_of(a[2].as_int64(), e.args[2]->unit, c.precision).value_or(1) : 1;
  return Datum::of_int((*x - *y) / std::max<std::int64_t>(unit, 1));
}

double log_of(const Args& a) {
  return a.size() > 1 ? std::log(to_double(a[0])) / std::log(to_double(a[1])) : std::log(to_double(a[0]));
}
double ceiling(double v) { return std::ceil(v); }
double down(double v) { return std::floor(v); }
double root(double v) { return std::sqrt(v); }
double exponential(double v) { return std::exp(v); }
double sine(double v) { return std::sin(v); }
double cosine(double v) { return std::cos(v); }
double tangent(double v) { return std::tan(v); }
double logarithm(double v) { return std::log(v); }
double degrees(double v) { return v * 180 / std::numbers::pi; }
double radians(double v) { return v * std::numbers::pi / 180; }

const Function kFunctions[] = {
    {"now", 0, 0, Takes::nothing, simple(Type::timestamp),
     [](const Args&, const EvalContext& c, const Expr&) { return Datum::of_time(c.now); }},
    {"today", 0, 0, Takes::nothing, simple(Type::timestamp),
     [](const Args&, const EvalContext& c, const Expr&) {
       return Datum::of_time(today_in(c.precision, *c.session->zone));
     }},
    {"timezone", 0, 0, Takes::nothing, text(0), timezone_name},
    {"database", 0, 0, Takes::nothing, text(0),
     [](const Args&, const EvalContext& c, const Expr&) {
       return c.session->database.empty() ? Datum::none(Type::varchar) : Datum::of_text(c.session->database);
     }},
    {"server_version", 0, 0, Takes::nothing, text(7),
     [](const Args&, const EvalContext&, const Expr&) { return Datum::of_text("3.3.7.5"); }},
    {"client_version", 0, 0, Takes::nothing, text(7),
     [](const Args&, const EvalContext&, const Expr&) { return Datum::of_text("3.3.7.5"); }},
    {"server_status", 0, 0, Takes::nothing, simple(Type::integer),
     [](const Args&, const EvalContext&, const Expr&) { return Datum::fixed(Type::integer, 1); }},
    {"user", 0, 0, Takes::nothing, text(0),
     [](const Args&, const EvalContext& c, const Expr&) { return Datum::of_text(c.session->user + "@localhost"); }},
    {"current_user", 0, 0, Takes::nothing, text(0),
     [](const Args&, const EvalContext& c, const Expr&) { return Datum::of_text(c.session->user + "@localhost"); }},
    {"pi", 0, 0, Takes::nothing, kDouble,
     [](const Args&, const EvalContext&, const Expr&) { return Datum::of_double(std::numbers::pi); }},
    {"abs", 1, 1, Takes::number, kSame, absolute},
    {"ceil", 1, 1, Takes::number, kSame, rounded<ceiling>},
    {"floor", 1, 1, Takes::number, kSame, rounded<down>},
    {"round", 1, 2, Takes::number, kSame, round_digits},
    {"truncate", 2, 2, Takes::number, kSame, truncate_digits},
    {"sqrt", 1, 1, Takes::number, kDouble, math<root>},
    {"exp", 1, 1, Takes::number, kDouble, math<exponential>},
    {"ln", 1, 1, Takes::number, kDouble, math<logarithm>},
    {"sin", 1, 1, Takes::number, kDouble, math<sine>},
    {"cos", 1, 1, Takes::number, kDouble, math<cosine>},
    {"tan", 1, 1, Takes::number, kDouble, math<tangent>},
    {"degrees", 1, 1, Takes::number, kDouble, math<degrees>},
    {"radians", 1, 1, Takes::number, kDouble, math<radians>},
    {"pow", 2, 2, Takes::number, kDouble,
     [](const Args& a, const EvalContext&, const Expr&) {
       return Datum::of_double(std::pow(to_double(a[0]), to_double(a[1])));
     }},
    {"log", 1, 2, Takes::number, kDouble,
     [](const Args& a, const EvalContext&, const Expr&) { return Datum::of_double(log_of(a)); }},
    {"mod", 2, 2, Takes::number, kDouble,
     [](const Args& a, const EvalContext&, const Expr&) {
       if (to_double(a[1]) == 0) return Datum::none(Type::float64);
       return Datum::of_double(std::fmod(to_double(a[0]), to_double(a[1])));
     }},
    {"sign", 1, 1, Takes::number, kSame,
     [](const Args& a, const EvalContext&, const Expr& e) {
       const double v = to_double(a[0]);
       return cast_to(Datum::of_double(v > 0 ? 1 : v < 0 ? -1 : 0), e.type, {});
     }},
    {"length", 1, 1, Takes::text, kBigint,
     [](const Args& a, const EvalContext&, const Expr&) {
       return Datum::of_int(static_cast<std::int64_t>(a[0].text.size()));
     }},
    {"char_length", 1, 1, Takes::text, kBigint,
     [](const Args& a, const EvalContext&, const Expr&) {
       return Datum::of_int(static_cast<std::int64_t>(utf8_length(a[0].text)));
     }},
    {"lower", 1, 1, Takes::text, kSame, each_letter<std::tolower>},
    {"upper", 1, 1, Takes::text, kSame, each_letter<std::toupper>},
    {"ltrim", 1, 1, Takes::text, kSame, trim<true, false>},
    {"rtrim", 1, 1, Takes::text, kSame, trim<false, true>},
    {"trim", 1, 1, Takes::text, kSame, trim<true, true>},
    {"concat", 2, 8, Takes::text, text(0), concat},
    {"concat_ws", 3, 9, Takes::text, text(0), concat_ws},
    {"substr", 2, 3, Takes::any, kSame, substring},
    {"substring", 2, 3, Takes::any, kSame, substring},
    {"replace", 3, 3, Takes::text, kSame, replace},
    {"to_iso8601", 1, 2, Takes::any, text(62), to_iso8601},
    {"to_unixtimestamp", 1, 1, Takes::text, kBigint, to_unixtimestamp},
    {"timediff", 2, 3, Takes::any, kBigint, timediff},
    {"to_json",
     1,
     1,
     Takes::text,
     {Type::json, data::Limits::json_tag, 0, 0},
     [](const Args& a, const EvalContext&, const Expr&) { return json_tag(a[0].text); }},
    {"md5", 1, 1, Takes::text, text(32),
     [](const Args& a, const EvalContext&, const Expr&) { return Datum::of_text(md5_hex(a[0].text)); }},
    {"st_astext", 1, 1, Takes::any, kSame,
     [](const Args& a, const EvalContext&, const Expr&) { return Datum::of_text(geometry_text(a[0].text)); }},
    {"st_geomfromtext",
     1,
     1,
     Takes::text,
     {Type::geometry, data::Limits::varchar, 0, 0},
     [](const Args& a, const EvalContext&, const Expr&) {
       auto wkb = geometry_image(a[0].text);
       if (!wkb) refuse(0x2801, "Invalid function para value");
       return Datum::of_text(std::move(*wkb), Type::geometry);
     }},
};

bool takes_bytes(Type t) { return is_text(t) || t == Type::varbinary || t == Type::blob || t == Type::null; }

}  // namespace

int find_function(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(kFunctions); ++i) {
    if (kFunctions[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

TypeInfo function_type(const Expr& call) {
  const auto& f = kFunctions[static_cast<std::size_t>(call.function)];
  const auto wrong = [&] { refuse(0x2802, fmt::format("Invalid parameter data type : {}", f.name)); };
  if (call.args.size() < f.least || call.args.size() > f.most) {
    refuse(0x2801, fmt::format("Invalid number of parameters : {}", f.name));
  }
  std::int32_t length = 0;
  for (const auto& arg : call.args) {
    if (f.takes == Takes::number && (!is_number(arg->type.type) || is_decimal(arg->type.type)) &&
        !(arg->kind == Expr::Kind::literal && arg->value.null)) {
      wrong();
    }
    if (f.takes == Takes::text && !takes_bytes(arg->type.type)) wrong();
    if (data::is_variable(arg->type.type)) length += arg->type.length;
  }
  if (f.name.starts_with("subst") && !is_text(call.args[0]->type.type)) wrong();
  if (f.name == "to_iso8601") {
    const auto t = call.args[0]->type.type;
    if (t != Type::timestamp && !is_integer(t)) wrong();
  }
  TypeInfo type = f.type;
  if (type.type == Type::null) type = f.takes == Takes::nothing ? type : call.args[0]->type;
  if (f.name == "st_astext") type.type = Type::varchar;
  if (type.type == Type::varchar && type.length == 0) {
    type.length = f.takes == Takes::nothing ? 63 : length;
    for (const auto& arg : call.args) {
      if (arg->type.type == Type::nchar) type.type = Type::nchar;
    }
  }
  return type;
}

Datum call_function(const Expr& call, const EvalContext& context) {
  const auto& f = kFunctions[static_cast<std::size_t>(call.function)];
  Args args;
  args.reserve(call.args.size());
  for (const auto& arg : call.args) {
    args.push_back(evaluate(*arg, context));
    if (args.back().null) return Datum::none(call.type.type);
  }
  return f.call(args, context, call);
}

}  // namespace penstock::sandbox
