#include "conformance/records.h"

namespace penstock::conformance {
namespace {

const char* const kNames = "SQL over WebSocket cannot say the name";
const char* const kAligned = "a column is found by its name, wherever it stands, and a missing one is added";
const char* const kNarrow = "a value wider than its column widens it; the server stores what it cannot read again";
const char* const kFar = "times after the year 2262 saturate, also where the table exists";
const char* const kTagType = "a tag with two types in one batch is refused with the code of any type that does not fit";

Expectations make() {
  Expectations points;
  const Expectations::Cases both{
      {"json/metric/dots_not_replaced", kNames},
      {"json/schema/tag_type_conflict_in_payload", kTagType},
      {"json/schema/string_growth_two_calls", kNarrow},
      {"json/schema/nchar_value_growth", kNarrow},
      {"json/schema/existing_narrow_varchar_value", kNarrow},
      {"json/schema/existing_narrow_nchar_value", kNarrow},
      {"json/schema/existing_other_value_name", kAligned},
      {"json/schema/existing_value_second_column", kAligned},
      {"json/timestamp/far_future_millis_known_table", kFar},
      {"json/timestamp/far_future_seconds_known_table", kFar},
      {"json/timestamp/object_ms_far_future_known_table", kFar},
      {"json/timestamp/object_s_far_future_known_table", kFar},
      {"json/timestamp/object_us_far_future_known_table", kFar},
  };
  points.as_file = {
      {"json/syntax/empty_array", kFileRules},
      {"json/syntax/empty_payload", kFileRules},
      {"json/syntax/spaces_only", kFileRules},
      {"json/syntax/trailing_garbage", kFileRules},
      {"json/syntax/two_objects_in_a_row", kFileRules},
      {"json/syntax/two_objects_on_two_lines", kFileRules},
      {"json/syntax/trailing_comma_in_array", kFileRules},
      {"json/syntax/unclosed_array", kFileRules},
      {"json/syntax/nul_byte_after", kFileRules},
      {"json/syntax/nested_array", kFileRules},
      {"json/syntax/deep_nesting_900", kFileRules},
      {"json/syntax/deep_nesting_1500", kFileRules},
      {"json/lines_api/two_strings", kFileRules},
      {"json/lines_api/empty_string", kFileRules},
      {"json/syntax/invalid_utf8_in_metric", kNames},
      {"json/tags/invalid_utf8_key", kNames},
  };
  points.as_file.insert(both.begin(), both.end());
  points.as_action = both;
  points.as_action.emplace("json/schema/existing_other_ts_name_new_tag",
                           "refused before anything is made, not after the new tag");
  points.both_ways = {
      {"json/metric/dots_not_replaced", kNames},
  };
  points.least_as_file = 411;
  points.least_as_action = 406;
  points.least_both_ways = 220;
  return points;
}

}  // namespace

const Expectations& json_expectations() {
  static const Expectations points = make();
  return points;
}

}  // namespace penstock::conformance
