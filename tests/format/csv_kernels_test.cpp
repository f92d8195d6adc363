#include "format/csv_kernels.h"

#include <gtest/gtest.h>

#include <charconv>
#include <random>
#include <string>
#include <vector>

#include "io/chunk.h"

namespace penstock::format {
namespace {

TEST(CsvKernels, SeeTheSameCharacters) {
  std::mt19937_64 random(1);
  const auto kernels = all_csv_kernels();
  for (int i = 0; i < 200; ++i) {
    std::string bytes;
    for (int b = 0; b < 64 * 4 + 7; ++b)
      bytes += static_cast<char>(random() % 3 == 0 ? ",\n\"\0"[random() % 4] : random());
    for (const char quote : {'"', '\0', '\xFF'}) {
      std::vector<CsvMasks> expected(4);
      kernels[0]->masks(bytes.data() + i % 7, 4, ',', quote, expected.data());
      for (const auto* kernel : kernels) {
        std::vector<CsvMasks> masks(4);
        kernel->masks(bytes.data() + i % 7, 4, ',', quote, masks.data());
        for (std::size_t b = 0; b < 4; ++b) {
          EXPECT_EQ(masks[b].delimiters, expected[b].delimiters) << kernel->name;
          EXPECT_EQ(masks[b].newlines, expected[b].newlines) << kernel->name;
          EXPECT_EQ(masks[b].quotes, expected[b].quotes) << kernel->name;
        }
      }
    }
  }
}

TEST(CsvKernels, FindTheBitsOfWords) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::uint64_t> words(random() % 5);
    std::vector<std::uint32_t> expected;
    const auto base = static_cast<std::uint32_t>(random() % 1'000'000);
    for (std::size_t w = 0; w < words.size(); ++w) {
      for (int thinner = static_cast<int>(random() % 5), first = 1; thinner >= 0; --thinner, first = 0)
        words[w] = first != 0 ? random() | random() | random() : words[w] & random();
      if (random() % 8 == 0) words[w] = random() % 2 == 0 ? 0 : UINT64_MAX;
      for (unsigned bit = 0; bit < 64; ++bit)
        if ((words[w] >> bit & 1) != 0) expected.push_back(base + static_cast<std::uint32_t>(64 * w + bit));
    }
    for (const auto* kernel : all_csv_kernels()) {
      std::vector<std::uint32_t> found(expected.size() + 64);
      kernel->positions(words.data(), words.size(), base, found.data());
      found.resize(expected.size());
      EXPECT_EQ(found, expected) << kernel->name;
    }
  }
}

/// The fields as the kernel gets them, behind a field that is not asked for.
struct Fields {
  std::string text;
  std::vector<std::uint32_t> ends;

  explicit Fields(const std::vector<std::string>& fields) {
    text = "x";
    ends.push_back(1);
    for (const auto& field : fields) {
      text += ',' + field;
      ends.push_back(static_cast<std::uint32_t>(text.size()));
    }
    // What follows must not matter.
    ends.resize(ends.size() + kCsvLanes, UINT32_MAX - 5);
    text += "\n7";
    text.resize(text.size() + io::kPadding, '8');
  }
};

/// Reads the fields with every kernel and compares with what the standard library says.
void expect_integers(const std::vector<std::string>& fields, const CsvIntegerRanges& ranges) {
  std::uint32_t good = 0;
  std::vector<std::uint64_t> values(kCsvLanes, 0xAAAA);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& field = fields[i];
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || field.size() > 8) continue;
    if (value < ranges.low[i] || value > ranges.high[i]) continue;
    good |= 1u << i;
    values[i] = static_cast<std::uint64_t>(value);
  }
  const Fields given(fields);
  std::string shown;
  for (const auto& field : fields) shown += field + "|";
  for (const auto* kernel : all_csv_kernels()) {
    std::vector<std::uint64_t> found(kCsvLanes, 0xAAAA);
    EXPECT_EQ(kernel->integers(given.text.data(), given.ends.data() + 1, static_cast<unsigned>(fields.size()), ranges,
                               found.data()),
              good)
        << kernel->name << ": " << shown;
    EXPECT_EQ(found, values) << kernel->name << ": " << shown;
  }
}

TEST(CsvKernels, ReadIntegersOfSeveralFields) {
  std::mt19937_64 random(3);
  CsvIntegerRanges wide{};
  for (auto& low : wide.low) low = INT64_MIN;
  for (auto& high : wide.high) high = INT64_MAX;
  for (const std::string_view odd :
       {"",         "-",         "--1",       "+1",      "1-", "-0",    "0",   "00", "007", "12345678",
        "-1234567", "-12345678", "123456789", " 1",      "1 ", "\"1\"", "1.0", "1:", "/1",  "12345678901234567890",
        "\xB1",     "1\r",       "99999999",  "-9999999"}) {
    for (unsigned count = 1; count <= kCsvLanes; ++count)
      for (unsigned at = 0; at < count; ++at) {
        std::vector<std::string> fields(count, "17");
        fields[at] = odd;
        expect_integers(fields, wide);
      }
  }
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> fields(1 + random() % kCsvLanes);
    CsvIntegerRanges ranges = wide;
    for (std::size_t f = 0; f < fields.size(); ++f) {
      auto& field = fields[f];
      if (random() % 4 == 0) {
        ranges.low[f] = random() % 2 == 0 ? 0 : INT8_MIN;
        ranges.high[f] = random() % 2 == 0 ? UINT8_MAX : INT8_MAX;
      }
      for (auto length = random() % 10; length > 0; --length)
        field += random() % 40 == 0 ? static_cast<char>(random()) : static_cast<char>('0' + random() % 10);
      if (random() % 3 == 0) field.insert(field.begin(), '-');
    }
    expect_integers(fields, ranges);
  }
}

TEST(CsvKernels, TheBestOneIsAmongThem) {
  const auto all = all_csv_kernels();
  EXPECT_EQ(all.back(), &csv_kernels());
}

}  // namespace
}  // namespace penstock::format
