#include "format/line_parser.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "format/line_test_text.h"

namespace penstock::format {
namespace {
TEST(LineParser, ParsesALine) {
  schema::Registry registry;
  LineParser parser(registry);
  data::RowSet rows;
  const auto chunk = padded_chunk(
      "cpu,host=a u=58i,v=1.5,w=\"x\" 1626006833639000000\ncpu,host=a u=59i,v=-2,w=\"\" 1626006833639000001");
  parser.parse(chunk, rows);
  EXPECT_EQ(all_text(registry, rows),
            "cpu/t_630ceacf723a6a06ea68a91ab3ca11ee 1626006833639000000 [0+48] u:BIGINT=58 v:DOUBLE=4609434218613702656 "
            "w:VARCHAR=x\n"
            "cpu/t_630ceacf723a6a06ea68a91ab3ca11ee 1626006833639000001 [49+46] u:BIGINT=59 v:DOUBLE=13835058055282163712 "
            "w:VARCHAR=\n");
}
}  // namespace
}  // namespace penstock::format
