#include "conformance/records.h"

namespace penstock::conformance {
namespace {

const char* const kArray = "an array of lines holds what a file cannot";
const char* const kNames = "SQL over WebSocket cannot say the name";
const char* const kTimestamp = "a super table with another timestamp column is left alone";
const char* const kFirst = "refused before anything is made, not after the super table or a child table";

Expectations make() {
  Expectations line;
  line.as_file = {
      {"line/syntax/crlf_no_timestamp", kFileRules},
      {"line/syntax/crlf_string_no_timestamp", kFileRules},
      {"line/syntax/crlf_blank_line", kFileRules},
      {"line/syntax/two_trailing_newlines", kFileRules},
      {"line/syntax/blank_line_between", kFileRules},
      {"line/syntax/blank_line_first", kFileRules},
      {"line/syntax/line_of_spaces_between", kFileRules},
      {"line/syntax/comment_only", kFileRules},
      {"line/syntax/comments_only_two", kFileRules},
      {"line/syntax/empty_payload", kFileRules},
      {"line/syntax/newline_only", kFileRules},
      {"line/syntax/spaces_only", kFileRules},
      {"line/syntax/bom_first", kFileRules},
      {"line/lines_api/comment_line", kArray},
      {"line/lines_api/empty_line", kArray},
      {"line/lines_api/two_lines_in_one_string", kArray},
      {"line/lines_api/no_lines", kArray},
      {"line/lines_api/newline_in_string", kArray},
      {"line/lines_api/newline_in_tag", kArray},
      {"line/syntax/invalid_utf8_measurement", kNames},
      {"line/syntax/invalid_utf8_tag_key", kNames},
      {"line/syntax/invalid_utf8_field_key", kNames},
      {"line/name/dot_not_replaced", kNames},
      {"line/name/dot_in_measurement_not_replaced_two_calls", kNames},
      {"line/child/measurement_with_dot_not_replaced", kNames},
      {"line/child_named/dot_in_value_not_replaced", "binding cannot name a child table with a dot"},
      {"line/existing/other_ts_name_two_calls", kTimestamp},
      {"line/existing/other_ts_name_new_column_only", kTimestamp},
      {"line/existing/other_ts_name_new_column_long_keep", kTimestamp},
      {"line/existing/ts_name_is_second_column", kTimestamp},
      {"line/existing/ts_name_is_second_column_long_keep", kTimestamp},
      {"line/existing/virtual_super_table", kNoVirtualTables},
      {"line/child_delimiter/tags_differ_in_set", "the first line's tags make the child table, not those a hash picks"},
  };
  line.as_action = {
      {"line/syntax/nul_in_field_key", kFirst},
      {"line/child_named/same_name_as_super_table", kFirst},
      {"line/child_delimiter/same_name_as_super_table", kFirst},
      {"line/child_named/same_name_two_measurements", kFirst},
      {"line/child_delimiter/two_measurements", kFirst},
      {"line/existing/column_name_is_tag", kFirst},
      {"line/name/dot_not_replaced", kNames},
      {"line/name/dot_in_measurement_not_replaced_two_calls", kNames},
      {"line/child/measurement_with_dot_not_replaced", kNames},
      {"line/existing/other_ts_name_two_calls", kTimestamp},
      {"line/existing/other_ts_name_new_column_only", kTimestamp},
      {"line/existing/other_ts_name_new_column_long_keep", kTimestamp},
      {"line/existing/other_ts_name_new_tag", kTimestamp},
      {"line/existing/ts_name_is_second_column", kTimestamp},
      {"line/existing/ts_name_is_second_column_long_keep", kTimestamp},
      {"line/existing/virtual_super_table", "the sandbox has no virtual tables"},
      {"line/child_delimiter/tags_differ_in_set", "the first line's tags make the child table, not those a hash picks"},
  };
  line.both_ways = {
      {"line/name/dot_not_replaced", "SQL cannot say the name"},
      {"line/child/measurement_with_dot_not_replaced", "SQL cannot say the name"},
      {"line/child_named/dot_in_value_not_replaced", "binding cannot name a child table with a dot"},
      {"line/existing/virtual_super_table", "the sandbox has no virtual tables"},
  };
  line.least_as_file = 964;
  line.least_as_action = 946;
  line.least_both_ways = 570;
  return line;
}

}  // namespace

const Expectations& line_expectations() {
  static const Expectations line = make();
  return line;
}

}  // namespace penstock::conformance
