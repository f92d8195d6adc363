#include "format/csv_index.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "csv_test_text.h"

namespace penstock::format {
namespace {

std::string random_text(std::mt19937_64& random, std::size_t size, std::string_view alphabet) {
  std::string text;
  while (text.size() < size) text += alphabet[random() % alphabet.size()];
  return text;
}

struct Cut {
  std::string records;  // fields' ends and record marks
  std::uint64_t lines = 0;
};

Cut by_index(CsvIndex& index, std::string_view text, const Dialect& dialect) {
  Cut cut;
  index.start(text, dialect);
  while (index.next()) {
    std::uint32_t field = 0;
    auto broken = index.broken().begin();
    for (std::uint32_t r = 0; r < index.record_ends().size(); ++r) {
      if (broken != index.broken().end() && broken->record == r)
        cut.records += "open@" + std::to_string(broken++->at) + " ";
      for (; field < index.record_ends()[r]; ++field) cut.records += std::to_string(index.ends()[field]) + " ";
      cut.records += "| ";
    }
  }
  cut.lines = index.lines();
  return cut;
}

Cut by_record(std::string_view text, const Dialect& dialect) {
  Cut cut;
  for (std::size_t begin = 0; begin < text.size();) {
    std::vector<std::uint32_t> ends;
    const auto found = cut_record(text, begin, dialect, ends);
    if (found.open) {
      cut.records += "open@" + std::to_string(found.at) + " ";
      ends.push_back(0);
    }
    ends.back() = static_cast<std::uint32_t>(found.end);  // the index leaves the '\r' to its caller
    for (const auto end : ends) cut.records += std::to_string(end) + " ";
    cut.records += "| ";
    begin = found.end + 1;
  }
  cut.lines = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  return cut;
}

TEST(CsvIndex, CutsLikeCuttingRecordByRecord) {
  std::mt19937_64 random(2);
  CsvIndex index;
  for (int i = 0; i < 6000; ++i) {
    // Few and many quotes, short and long records, windows crossed now and then.
    static constexpr std::string_view kAlphabets[] = {
        "a,\n\"",         "ab,,\n",
        "abcdefgh,\n\"",  "aaaaaaaaaaaaaaaa,bbbb\r\n",
        "a,\n\"\"\"\"\\", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,\n\""};
    const auto size = random() % (i % 100 == 0 ? 60'000 : 300);
    const auto text = random_text(random, size, kAlphabets[random() % std::size(kAlphabets)]);
    Dialect dialect;
    if (i % 7 == 0) dialect.quote = '\0';
    if (i % 11 == 0 && dialect.quote != '\0') dialect.escape = '\\';
    const auto chunk = csv_chunk(text);
    const auto fast = by_index(index, chunk.text, dialect);
    const auto slow = by_record(chunk.text, dialect);
    ASSERT_EQ(fast.records, slow.records) << i << ": " << text;
    ASSERT_EQ(fast.lines, slow.lines) << i << ": " << text;
  }
}

}  // namespace
}  // namespace penstock::format
