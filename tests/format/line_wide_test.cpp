#include "format/line_wide.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <random>

#include "format/line_options.h"

// Rows that come as they should, as the reader with AVX2, the one without and the general path see them.
namespace penstock::format {
namespace {

/// What one parser makes of the text, cut into chunks at line ends, as text.
std::string all_of(const std::string& text, const LineOptions& options, std::size_t chunks) {
  schema::Registry registry;
  LineParser parser(registry, options);
  std::string all;
  for (std::size_t c = 0, at = 0; c < chunks; ++c) {
    auto end = c + 1 == chunks ? text.size() : text.find('\n', std::max(at, text.size() / chunks * (c + 1)));
    end = end >= text.size() ? text.size() : end + 1;
    data::RowSet rows;
    const auto chunk = padded_chunk(std::string_view(text).substr(at, end - at));
    parser.parse(chunk, rows);
    all += all_text(registry, rows);
    for (const auto& shape : rows.shapes()) {
      all += fmt::format("shape {} {}:", shape.table->name, shape.rows);
      for (std::size_t f = 0; f < shape.fields.size(); ++f)
        all += fmt::format(" {} {}", shape.fields[f].name, shape.max_length[f]);
      all += '\n';
    }
    all += fmt::format("lines {}\n", rows.lines());
    at = end;
  }
  return all;
}

void expect_same(const std::string& text, std::size_t chunks, unsigned seed) {
  const auto general = all_of(text, options_of(false, false), chunks);
  ASSERT_EQ(all_of(text, options_of(true, false), chunks), general) << "without AVX2, seed " << seed << "\n" << text;
  ASSERT_EQ(all_of(text, options_of(true, true), chunks), general) << "with AVX2, seed " << seed << "\n" << text;
}

std::string digits(std::mt19937& random, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('0' + random() % 10);
  return text;
}
std::string decimal(std::mt19937& random) {
  const auto whole = random() % 7 + (random() % 16 == 0 ? random() % 14 : 0);
  const auto places = random() % 7 + (random() % 16 == 0 ? random() % 14 : 0);
  auto text = (random() % 3 == 0 ? "-" : "") + digits(random, whole);
  if (random() % 3 != 0) text += "." + digits(random, places);
  return text;
}

/// Two measurements of a few series each, in the same order again and again, with fields of many types of which some
/// are missing now and then. `oddities`: one line of so many is something else.
std::string regular_text(unsigned seed, std::size_t steps, unsigned oddities) {
  std::mt19937 random(seed);
  static const char* const kFields[] = {"a",
                                        "load_capacity",
                                        "usage_guest_nice",
                                        "latitude",
                                        "nominal_fuel_consumption",
                                        "b",
                                        "status",
                                        "flag",
                                        "name",
                                        "narrow",
                                        "a_key_that_is_longer_than_a_word_of_it"};
  const std::size_t most = seed % 4 == 0 ? std::size(kFields) : 7;
  const auto value = [&](std::size_t field) -> std::string {
    switch (field) {
      case 1:
      case 2:
      case 6: return (random() % 5 == 0 ? "-" : "") + digits(random, 1 + random() % (random() % 9 == 0 ? 18 : 4)) + "i";
      case 7: return random() % 2 ? "t" : "false";
      case 8: return random() % 4 ? "\"text, with = and more\"" : "\"\\\"\"";
      case 9: return std::to_string(static_cast<int>(random() % 280) - 140) + (seed % 3 ? "i8" : "u8");
      default: return decimal(random);
    }
  };
  std::string text;
  std::string time = "1767225600000000000";
  for (std::size_t step = 0; step < steps; ++step) {
    if (random() % 3) time = fmt::format("{}", 1'767'225'600'000'000'000 + random() % 1'000'000'000'000);
    for (std::size_t series = 0; series < 6; ++series) {
      if (random() % 24 == 0) continue;
      const auto table = series % 2;
      std::vector<std::string> fields;
      for (std::size_t f = table; f < most; f += 1 + table)
        if (random() % 20 != 0) fields.push_back(fmt::format("{}={}", kFields[f], value(f)));
      if (fields.empty()) fields.push_back("a=1");
      if (random() % 40 == 0) std::swap(fields.front(), fields.back());
      std::string line = table == 0
                             ? fmt::format("readings,name=truck_{},fleet=South,driver=Trish,model=F-150 ", series)
                             : fmt::format("d,t={} ", series);
      line += fmt::format("{}", fmt::join(fields, ","));
      const auto stamp = random() % 30;
      if (stamp == 0) line += " 17";
      else if (stamp == 1) line += "  " + time;
      else if (stamp == 2) line += " " + time + " x";
      else if (stamp != 3) line += " " + time;
      if (stamp == 4) line += '\r';
      if (oddities > 0 && random() % oddities == 0) {
        static constexpr std::string_view kBytes = " ,=\\\"\n\r#.-+ieELbgtfux01289\0\xff\xe6\t/:";
        const auto at = random() % line.size();
        if (random() % 2) line[at] = kBytes[random() % kBytes.size()];
        else line.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
      text += line + "\n";
    }
  }
  if (seed % 2) text.pop_back();
  return text;
}

TEST(LineWide, ChangesNothing) {
  for (unsigned seed = 0; seed < 60; ++seed) expect_same(regular_text(seed, 40, 0), 1 + seed % 3, seed);
}

TEST(LineWide, ChangesNothingAboutBrokenLines) {
  for (unsigned seed = 1000; seed < 1120; ++seed) expect_same(regular_text(seed, 20, 1 + seed % 6), 1 + seed % 3, seed);
}

TEST(LineWide, GivesTheNearestDouble) {
  std::mt19937 random(5);
  std::vector<double> expected;
  std::string text = "m,host=a_host_of_that_name f=0.5 1\n";
  for (int i = 0; i < 20'000; ++i) {
    auto number = decimal(random);
    if (number.find_first_of("0123456789") == std::string::npos) number += "0";
    expected.push_back(std::strtod(number.c_str(), nullptr));
    text += "m,host=a_host_of_that_name f=" + number + fmt::format(" {}\n", i + 2);
  }
  for (const bool wide : {false, true}) {
    ParsedLine parsed(text, options_of(true, wide));
    ASSERT_EQ(parsed.all.size(), expected.size() + 1);
    std::size_t at = 0;
    parsed.rows.for_each_row([&](const data::Row& row) {
      if (at > 0) {
        ASSERT_EQ(row.slots()[0], std::bit_cast<std::uint64_t>(expected[at - 1])) << "line " << at;
      }
      ++at;
    });
  }
}

TEST(LineWide, RefusesWhatIsNoNumber) {
  for (const char* const value : {"",
                                  "-",
                                  ".",
                                  "-.",
                                  "--1",
                                  "1-",
                                  "1.2.3",
                                  "1..2",
                                  "1/",
                                  "1:",
                                  "i",
                                  "-i",
                                  "1ii",
                                  "1j",
                                  "1 2",
                                  "1i2",
                                  "12345678901234567890123i",
                                  "1_0",
                                  "+",
                                  "1,",
                                  "x"}) {
    for (const char* const before : {"1i", "1.5"}) {
      std::string text;
      for (int i = 0; i < 4; ++i) text += fmt::format("m,host=a_host_of_that_name f={},g=2i {}\n", before, i + 1);
      text += fmt::format("m,host=a_host_of_that_name f={},g=2i 5\n", value);
      text += fmt::format("m,host=a_host_of_that_name g=2i,f={} 6\n", value);
      text += fmt::format("m,host=a_host_of_that_name f={},g={} 7\n", before, value);
      expect_same(text, 1, 0);
    }
  }
}

TEST(LineWide, NeverReadsBeforeTheText) {
  for (const char* const line : {"m f=1 1\n", "m f=1i 1\n", "m,t=1 f=1 1\n", "m f=1,g=2.5 1\n"}) {
    std::string text;
    for (int i = 0; i < 5; ++i) text += line;
    expect_same(text, 5, 0);
    text.pop_back();
    expect_same(text, 5, 0);
  }
}

TEST(LineWide, AsksTheClockForEachLineWithoutTime) {
  for (const char* const stamp : {"", " ", "                    "}) {
    std::int64_t calls = 0;
    auto options = options_of(true, true);
    options.clock = [&] { return ++calls; };
    std::string text;
    for (int i = 0; i < 50; ++i) text += std::string("m,host=a_host_of_that_name f=1.5,g=2i") + stamp + "\n";
    ParsedLine parsed(text, options);
    EXPECT_EQ(parsed.all.size(), 50u);
    EXPECT_EQ(parsed.last->time, 50);
  }
}

/// Series whose lines lack other fields each time share the plan that has them all, whatever came first.
TEST(LineWide, LearnsFieldsThatAreMissing) {
  std::string text;
  for (unsigned set = 1; set < 64; ++set)
    for (unsigned series = 0; series < 3; ++series) {
      text += fmt::format("m,host=a_host_of_that_name_{} ", series);
      for (unsigned f = 0; f < 6; ++f)
        if ((set * (series + 1) >> f) & 1 || set % 5 == 0) text += fmt::format("f{}={}.{},", f, set, f);
      if (text.back() == ' ') text += "f0=1,";
      text.back() = ' ';
      text += "1767225600000000000\n";
    }
  for (std::size_t chunks : {1, 4}) expect_same(text + text + text, chunks, 0);
}

}  // namespace
}  // namespace penstock::format
