#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/engine.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {

/// Appends `text` in quotes as the adapter 3.3.7.5 writes answers: < > & and U+2028/2029 as \u escapes, bytes that are
/// no UTF-8 as \ufffd.
void append_json_text(std::string& to, std::string_view text);
/// Appends `text` in quotes as REST writes cells: only quotes, backslashes and control bytes are escaped, all else
/// passes.
void append_json_cell(std::string& to, std::string_view text);

/// Which width an answer reports: queries the user's, prepared statements the stored one.
enum class LengthKind { user, stored };

/// `"fields_count":…` to `"fields_scales":[…]`: the members of query and stmt2_result answers. Without fields: 0, null.
void append_field_members(std::string& to, const Answer& answer, LengthKind lengths);

/// Shortest text that reads back as the same number; exponent form below 1e-6 and from 1e21 on; null for NaN,
/// infinities.
void append_json_number(std::string& to, double value);
void append_json_number(std::string& to, float value);

/// "2023-11-14T22:13:20.000Z"; 3, 6 or 9 digits; "+08:00" where the zone is not at UTC.
std::string rest_timestamp(std::int64_t ticks, data::Precision precision, const TimeZone& zone);

enum class RowShape { arrays, objects };

/// Body of a successful /rest/sql. `timing_ns` adds the member "timing".
std::string rest_result(const Answer& answer, RowShape shape, const TimeZone& zone,
                        std::optional<std::int64_t> timing_ns);
/// `{"code":…,"desc":…,"timing":…}`.
std::string rest_error(std::int32_t code, std::string_view text, std::int64_t timing_ns);

}  // namespace penstock::sandbox
