#include "simd/bytes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace penstock::simd {
namespace {

/// Copies the text so that it ends exactly at the end of its allocation: ASan sees a read past it.
class Placed {
 public:
  Placed(std::string_view text, std::size_t alignment) : bytes_(new char[alignment + text.size()]) {
    std::memcpy(bytes_.get() + alignment, text.data(), text.size());
    text_ = {bytes_.get() + alignment, text.size()};
  }
  [[nodiscard]] std::string_view text() const { return text_; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::string_view text_;
};

std::string random_text(std::mt19937& random, std::size_t size, std::string_view alphabet) {
  std::string text(size, '\0');
  for (char& c : text) {
    c = alphabet.empty() ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
  }
  return text;
}

class Twins : public ::testing::Test {
 protected:
  void SetUp() override {
    if (avx2_kernels() == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  }
  const Kernels& fast() const { return *avx2_kernels(); }
  std::mt19937 random_{20240611};
};

TEST_F(Twins, AgreeOnSearchesOfEveryLengthAndAlignment) {
  const std::string_view alphabets[] = {"",
                                        std::string_view("\n\0\xff"
                                                         "a",
                                                         4),
                                        "\nabcdefghijklmnopqrstuvwxyz0123456789"};
  for (std::size_t size = 0; size <= 130; ++size) {
    for (std::size_t alignment = 0; alignment < 64; alignment += size % 3 + 1) {
      for (const auto alphabet : alphabets) {
        const Placed placed(random_text(random_, size, alphabet), alignment);
        const char* data = placed.text().data();
        for (const char byte : {'\n', '\0', '\xff', 'x'}) {
          EXPECT_EQ(fast().count(data, size, byte), kScalar.count(data, size, byte));
          EXPECT_EQ(fast().find_last(data, size, byte), kScalar.find_last(data, size, byte));
          const std::array<char, 4> bytes{byte, 'q', '\n', '\xfe'};
          EXPECT_EQ(fast().find_any(data, size, bytes), kScalar.find_any(data, size, bytes));
        }
      }
    }
  }
}

TEST_F(Twins, AgreeOnCsvFromEveryState) {
  const std::string_view alphabets[] = {"", "\",\nab", "\",\nabcdefghijklmnopqrstuvwxyz01234567890123456789",
                                        "\"\\,\na", "\"\n"};
  const CsvMarks marks[] = {{}, {';', '\'', '\0'}, {',', '"', '\\'}};
  for (std::size_t size = 0; size <= 130; ++size) {
    for (std::size_t alignment = 0; alignment < 64; alignment += size % 5 + 3) {
      for (const auto alphabet : alphabets) {
        const Placed placed(random_text(random_, size, alphabet), alignment);
        const char* data = placed.text().data();
        for (const CsvMarks& mark : marks) {
          for (int start = 0; start <= 5; ++start) {
            CsvState a = static_cast<CsvState>(start);
            CsvState b = a;
            EXPECT_EQ(fast().csv_last_end(data, size, mark, a), kScalar.csv_last_end(data, size, mark, b));
            EXPECT_EQ(a, b);
            a = b = static_cast<CsvState>(start);
            EXPECT_EQ(fast().csv_first_end(data, size, mark, a), kScalar.csv_first_end(data, size, mark, b));
            EXPECT_EQ(a, b);
          }
        }
      }
    }
  }
}

TEST_F(Twins, AgreeOnLongWellFormedCsv) {
  std::string text;
  for (int row = 0; row < 3000; ++row) {
    text += "id" + std::to_string(row) + ",\"quoted, with \"\"doubles\"\"\nand a newline\",," +
            std::to_string(random_()) + ",\"\"\r\n";
    if (row % 100 == 0) text += "5\" pipe,plain\n";
  }
  for (std::size_t cut = 0; cut < text.size(); cut += 97) {
    CsvState a = CsvState::field_start;
    CsvState b = CsvState::field_start;
    EXPECT_EQ(fast().csv_last_end(text.data(), cut, {}, a), kScalar.csv_last_end(text.data(), cut, {}, b));
    EXPECT_EQ(a, b);
  }
}

struct CsvCase {
  const char* name;
  std::string_view text;
  CsvMarks marks;
  std::vector<std::size_t> ends;
};

class CsvEnds : public ::testing::TestWithParam<CsvCase> {};

TEST_P(CsvEnds, AreTheNewlinesOutsideQuotes) {
  const CsvCase& c = GetParam();
  std::vector<std::size_t> ends;
  CsvState state = CsvState::field_start;
  for (std::size_t at = 0; at < c.text.size();) {
    const std::size_t end = csv_first_end(c.text.substr(at), c.marks, state);
    if (end == kNone) break;
    ends.push_back(at + end);
    at += end + 1;
  }
  EXPECT_EQ(ends, c.ends);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CsvEnds,
    ::testing::Values(CsvCase{"plain", "a,b\nc\n", {}, {3, 5}}, CsvCase{"quoted_newline", "\"a\nb\",c\n", {}, {7}},
                      CsvCase{"doubled_quote", "\"a\"\"\n\",c\n", {}, {8}},
                      CsvCase{"empty_quoted", "\"\",\"\"\n", {}, {5}}, CsvCase{"only_doubled", "\"\"\"\"\n", {}, {4}},
                      CsvCase{"stray_quote_in_field", "5\" x\ny\n", {}, {4, 6}},
                      CsvCase{"text_behind_closing_quote", "\"a\"b\"\nc\n", {}, {5, 7}},
                      CsvCase{"blank_before_quote_is_text", " \"a\nb\"\n", {}, {3, 6}},
                      CsvCase{"open_at_end", "\"a\n\n", {}, {}}, CsvCase{"crlf", "\"a\r\nb\"\r\nc\r\n", {}, {7, 10}},
                      CsvCase{"other_marks", "'a;\nb';\"\nc\n", {';', '\'', '\0'}, {8, 10}},
                      CsvCase{"escaped_quote", "\"a\\\"\n\"\n", {',', '"', '\\'}, {6}},
                      CsvCase{"escaped_newline", "a\\\nb\n", {',', '"', '\\'}, {4}},
                      CsvCase{"backslash_is_text_without_escape", "\"a\\\"\n", {}, {4}}),
    [](const auto& test) { return test.param.name; });

TEST(Kernels, FindNothingInNothing) {
  EXPECT_EQ(count({}, '\n'), 0u);
  EXPECT_EQ(find_last({}, '\n'), kNone);
  EXPECT_EQ(find_any({}, {'a', 'b', 'c', 'd'}), kNone);
}

}  // namespace
}  // namespace penstock::simd
