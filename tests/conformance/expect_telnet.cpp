#include "conformance/records.h"

namespace penstock::conformance {
namespace {

const char* const kArray = "an array of lines holds what a file cannot";
const char* const kNames = "SQL over WebSocket cannot say the name";
const char* const kAligned = "a column is found by its name, wherever it stands, and a missing one is added";
const char* const kNarrow = "a value wider than its column widens it; the server stores what it cannot read again";
const char* const kSeam = "two metrics whose letters run together with their tags are kept apart";

Expectations make() {
  Expectations telnet;
  const Expectations::Cases both{
      {"telnet/name/dots_not_replaced", kNames},
      {"telnet/schema/existing_other_value_name", kAligned},
      {"telnet/schema/existing_value_second_column", kAligned},
      {"telnet/schema/existing_line_protocol_table", kAligned},
      {"telnet/schema/string_growth_two_calls", kNarrow},
      {"telnet/schema/nchar_growth_two_calls", kNarrow},
      {"telnet/schema/existing_narrow_varchar_value", kNarrow},
      {"telnet/schema/existing_narrow_nchar_value", kNarrow},
      {"telnet/schema/metric_tag_join_collision", kSeam},
      {"telnet/schema/metric_tag_join_collision_reversed", kSeam},
  };
  telnet.as_file = {
      {"telnet/syntax/put_prefix", kFileRules},
      {"telnet/syntax/empty", kFileRules},
      {"telnet/syntax/newline_only", kFileRules},
      {"telnet/syntax/spaces_only", kFileRules},
      {"telnet/syntax/blank_line_between", kFileRules},
      {"telnet/syntax/two_trailing_newlines", kFileRules},
      {"telnet/syntax/crlf", kFileRules},
      {"telnet/syntax/cr_at_end", kFileRules},
      {"telnet/syntax/bom", kFileRules},
      {"telnet/syntax/invalid_utf8_metric", kNames},
      {"telnet/lines_api/newline_at_end", kArray},
      {"telnet/lines_api/crlf_at_end", kArray},
      {"telnet/lines_api/empty_string", kArray},
      {"telnet/lines_api/two_lines_in_one_string", kArray},
  };
  telnet.as_file.insert(both.begin(), both.end());
  telnet.as_action = both;
  telnet.as_action.emplace("telnet/schema/existing_other_ts_name_new_tag",
                           "refused before anything is made, not after the new tag");
  telnet.both_ways = {{"telnet/name/dots_not_replaced", kNames},
                      {"telnet/timestamp/zero", "the server gives the time: a line that is sent again would double"}};
  telnet.least_as_file = 245;
  telnet.least_as_action = 241;
  return telnet;
}

}  // namespace

const Expectations& telnet_expectations() {
  static const Expectations telnet = make();
  return telnet;
}

}  // namespace penstock::conformance
