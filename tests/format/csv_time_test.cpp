#include "format/csv_time.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <random>

#include "base/error.h"
#include "base/time_zone.h"

namespace penstock::format {
namespace {

using data::Precision;
using schema::CsvMapping;

struct Reading {
  TimeStatus status;
  std::int64_t time;
  bool operator==(const Reading&) const = default;
};
void PrintTo(const Reading& r, std::ostream* out) { *out << static_cast<int>(r.status) << " " << r.time; }

Reading read(std::string_view text, const TimeFormat& format, Precision unit = Precision::milliseconds,
             std::string_view zone = "", CsvMapping::DstGap gap = CsvMapping::DstGap::reject,
             CsvMapping::DstFold fold = CsvMapping::DstFold::first) {
  TimeReader reader(format, unit, zone.empty() ? nullptr : TimeZone::load(zone), gap, fold);
  const std::string padded = std::string(text) + "99999999";
  Reading result{TimeStatus::ok, -1};
  result.status = reader.read(std::string_view(padded).substr(0, text.size()), result.time);
  // Once more from the caches.
  std::int64_t again = -1;
  EXPECT_EQ(reader.read(std::string_view(padded).substr(0, text.size()), again), result.status);
  EXPECT_EQ(again, result.time);
  return result;
}

Reading ok(std::int64_t time) { return {TimeStatus::ok, time}; }
Reading no(TimeStatus status) { return {status, -1}; }

TEST(CsvTime, ReadsIsoForms) {
  struct Case {
    std::string_view text;
    Reading ms;
  };
  for (const auto& c : {Case{"2021-01-01 00:00:00", ok(1609459200000)},
                        Case{"2021-01-01T00:00:00", ok(1609459200000)},
                        Case{"2021-01-01T00:00:00Z", ok(1609459200000)},
                        Case{"2021-01-01T00:00:00.5Z", ok(1609459200500)},
                        Case{"2021-01-01T00:00:00,25", ok(1609459200250)},
                        Case{"2021-01-01 00:00:00.123000000", ok(1609459200123)},
                        Case{"2021-01-01 00:00:00.123000000000", ok(1609459200123)},
                        Case{"2021-01-01 00:00:00.1234", no(TimeStatus::too_fine)},
                        Case{"2021-01-01 00:00:00.123000000001", no(TimeStatus::too_fine)},
                        Case{"2021-01-01T02:00:00+02:00", ok(1609459200000)},
                        Case{"2021-01-01T02:00:00+0200", ok(1609459200000)},
                        Case{"2021-01-01T02:00:00 +02", ok(1609459200000)},
                        Case{"2020-12-31 18:30:00-05:30", ok(1609459200000)},
                        Case{"2021-01-01 00:00:00 UTC", ok(1609459200000)},
                        Case{"2021-01-01 00:00:00 +0000 UTC", ok(1609459200000)},
                        Case{"2021-01-01", ok(1609459200000)},
                        Case{"2021/01/01", ok(1609459200000)},
                        Case{"2021/1/1 0:00", ok(1609459200000)},
                        Case{"2021-01-01 00:00", ok(1609459200000)},
                        Case{"2020-12-31 23:59:60", ok(1609459200000)},
                        Case{"2020-12-31 24:00:00", ok(1609459200000)},
                        Case{"1969-12-31 23:59:59.999", ok(-1)},
                        Case{"2020-02-29 00:00:00", ok(1582934400000)},
                        Case{"0001-01-01 00:00:00", ok(-62135596800000)},
                        Case{"9999-12-31 23:59:59", ok(253402300799000)},
                        Case{"2021-02-29 00:00:00", no(TimeStatus::bad)},
                        Case{"2021-13-01 00:00:00", no(TimeStatus::bad)},
                        Case{"2021-00-01 00:00:00", no(TimeStatus::bad)},
                        Case{"2021-01-32 00:00:00", no(TimeStatus::bad)},
                        Case{"2021-01-01 25:00:00", no(TimeStatus::bad)},
                        Case{"2021-01-01 24:00:01", no(TimeStatus::bad)},
                        Case{"2021-01-01 00:60:00", no(TimeStatus::bad)},
                        Case{"2021-01-01 00:00:61", no(TimeStatus::bad)},
                        Case{"2021-01-01 00:00:00x", no(TimeStatus::bad)},
                        Case{"2021-01-01 00:00:00.", no(TimeStatus::bad)},
                        Case{"2021-01-01 00:00:0", no(TimeStatus::bad)},
                        Case{"2021-01/01", no(TimeStatus::bad)},
                        Case{"01/02/2021", no(TimeStatus::bad)},
                        Case{"20210101", no(TimeStatus::bad)},
                        Case{std::string_view("\0\0\0\0\0\0\0\0\0\0 00:00:00", 19), no(TimeStatus::bad)}}) {
    EXPECT_EQ(read(c.text, TimeFormat{}), c.ms) << c.text;
  }
}

TEST(CsvTime, KnowsWhatNanosecondsCanHold) {
  EXPECT_EQ(read("2262-04-11 23:47:15", {}, Precision::nanoseconds), ok(9223372035000000000));
  EXPECT_EQ(read("2262-04-11 23:47:16.854775807", {}, Precision::nanoseconds), ok(INT64_MAX));
  EXPECT_EQ(read("2262-04-11 23:47:16.854775808", {}, Precision::nanoseconds), no(TimeStatus::out_of_range));
  EXPECT_EQ(read("2262-04-12 00:00:00", {}, Precision::nanoseconds), no(TimeStatus::out_of_range));
  EXPECT_EQ(read("1600-01-01", {}, Precision::nanoseconds), no(TimeStatus::out_of_range));
  EXPECT_EQ(read("2021-01-01 00:00:00.123456789", {}, Precision::nanoseconds), ok(1609459200123456789));
}

TEST(CsvTime, ReadsEpochs) {
  struct Case {
    std::string_view text;
    std::string_view unit;
    Precision out;
    Reading expected;
  };
  using enum Precision;
  for (const auto& c : {Case{"1609459200", "s", milliseconds, ok(1609459200000)},
                        Case{"1609459200.123", "s", milliseconds, ok(1609459200123)},
                        Case{"1609459200.1234", "s", milliseconds, no(TimeStatus::too_fine)},
                        Case{"1609459200.1234", "s", microseconds, ok(1609459200123400)},
                        Case{"-1.5", "s", milliseconds, ok(-1500)},
                        Case{"1609459200123", "ms", milliseconds, ok(1609459200123)},
                        Case{"1609459200123.5", "ms", microseconds, ok(1609459200123500)},
                        Case{"1609459200123456", "us", milliseconds, no(TimeStatus::too_fine)},
                        Case{"1609459200123000", "us", milliseconds, ok(1609459200123)},
                        Case{"1609459200123456789", "ns", nanoseconds, ok(1609459200123456789)},
                        Case{"9223372036854775807", "ns", nanoseconds, ok(INT64_MAX)},
                        Case{"9223372036854775808", "ns", nanoseconds, no(TimeStatus::out_of_range)},
                        Case{"1609459200123", "s", milliseconds, no(TimeStatus::out_of_range)},
                        Case{"99999999999999999999", "s", milliseconds, no(TimeStatus::out_of_range)},
                        Case{"10000000000", "s", nanoseconds, no(TimeStatus::out_of_range)},
                        Case{"0", "s", milliseconds, ok(0)},
                        Case{"", "s", milliseconds, no(TimeStatus::bad)},
                        Case{"-", "s", milliseconds, no(TimeStatus::bad)},
                        Case{"12a", "s", milliseconds, no(TimeStatus::bad)},
                        Case{"1.6e9", "s", milliseconds, no(TimeStatus::bad)}}) {
    EXPECT_EQ(read(c.text, TimeFormat::parse(c.unit), c.out), c.expected) << c.text;
  }
}

TEST(CsvTime, ReadsPatterns) {
  struct Case {
    std::string_view pattern;
    std::string_view text;
    Reading expected;
  };
  for (const auto& c :
       {Case{"%d.%m.%Y %H:%M:%S", "01.02.2021 03:04:05", ok(1612148645000)},
        Case{"%d.%m.%Y %H:%M:%S", "1.2.2021 3:04:05", ok(1612148645000)},
        Case{"%m/%d/%Y %I:%M %p", "02/01/2021 03:04 PM", ok(1612191840000)},
        Case{"%m/%d/%Y %I:%M %p", "02/01/2021 12:04 am", ok(1612137840000)},
        Case{"%m/%d/%Y %I:%M %p", "02/01/2021 13:04 PM", no(TimeStatus::bad)},
        Case{"%d-%b-%y %T", "01-Feb-21 03:04:05", ok(1612148645000)},
        Case{"%a, %d %B %Y %R %z", "Mon, 01 February 2021 03:04 +0100", ok(1612145040000)},
        Case{"%Y%m%d%H%M%S%f", "20210201030405250", ok(1612148645250)}, Case{"%Y-%j", "2021-032", ok(1612137600000)},
        Case{"%Y-%j", "2021-366", no(TimeStatus::bad)}, Case{"%s", "1612148645", ok(1612148645000)},
        Case{"%F %%", "2021-02-01 %", ok(1612137600000)}, Case{"%F", "2021-02-01x", no(TimeStatus::bad)},
        Case{"%F", "2021-02-30", no(TimeStatus::bad)}}) {
    EXPECT_EQ(read(c.text, TimeFormat::parse(c.pattern)), c.expected) << c.text;
  }
  for (const std::string_view bad : {"%Q", "%", "hello", "", "%Y %"})
    EXPECT_THROW((void)TimeFormat::parse(bad), Error) << bad;
}

TEST(CsvTime, FollowsDaylightSaving) {
  using Gap = CsvMapping::DstGap;
  using Fold = CsvMapping::DstFold;
  const std::string_view berlin = "Europe/Berlin";
  EXPECT_EQ(read("2021-03-28 01:59:59", {}, Precision::milliseconds, berlin), ok(1616893199000));
  EXPECT_EQ(read("2021-03-28 02:00:00", {}, Precision::milliseconds, berlin), no(TimeStatus::gap));
  EXPECT_EQ(read("2021-03-28 02:59:59", {}, Precision::milliseconds, berlin), no(TimeStatus::gap));
  // Shifted: half past two that does not exist is half past three.
  EXPECT_EQ(read("2021-03-28 02:30:00", {}, Precision::milliseconds, berlin, Gap::shift),
            read("2021-03-28 03:30:00", {}, Precision::milliseconds, berlin));
  EXPECT_EQ(read("2021-03-28 03:00:00", {}, Precision::milliseconds, berlin), ok(1616893200000));
  EXPECT_EQ(read("2021-10-31 02:30:00", {}, Precision::milliseconds, berlin), ok(1635640200000));
  EXPECT_EQ(read("2021-10-31 02:30:00", {}, Precision::milliseconds, berlin, Gap::reject, Fold::second),
            ok(1635643800000));
  EXPECT_EQ(read("2021-10-31 02:30:00", {}, Precision::milliseconds, berlin, Gap::reject, Fold::reject),
            no(TimeStatus::fold));
  // An offset in the text wins.
  EXPECT_EQ(read("2021-03-28T02:30:00Z", {}, Precision::milliseconds, berlin), ok(1616898600000));
  EXPECT_EQ(read("2021-07-01 12:00:00", {}, Precision::milliseconds, "+05:30"), ok(1625121000000));
}

TEST(TimeZone, AgreesWithTheSystemsOwnReader) {
  // localtime_r() reads the same files with another program: the C library.
  const char* const before = std::getenv("TZ");
  const std::string saved = before == nullptr ? "" : before;
  std::mt19937_64 random(3);
  for (const char* name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca",
        "Europe/Dublin", "America/Sao_Paulo", "Pacific/Apia", "UTC", "Asia/Tehran"}) {
    const auto zone = TimeZone::load(name);
    ::setenv("TZ", name, 1);
    ::tzset();
    for (int i = 0; i < 3000; ++i) {
      const auto at = static_cast<std::time_t>(random() % 6'000'000'000) - 2'000'000'000;  // 1906 to 2096
      std::tm local{};
      ::localtime_r(&at, &local);
      ASSERT_EQ(zone->offset_at(at), local.tm_gmtoff) << name << " " << at;
      const auto back = zone->resolve(at + local.tm_gmtoff);
      ASSERT_TRUE(back.kind != TimeZone::Kind::gap) << name << " " << at;
      ASSERT_TRUE(back.first == local.tm_gmtoff || back.second == local.tm_gmtoff) << name << " " << at;
      ASSERT_LE(back.from, at + local.tm_gmtoff);
      ASSERT_GT(back.until, at + local.tm_gmtoff);
    }
  }
  if (before == nullptr) ::unsetenv("TZ");
  else ::setenv("TZ", saved.c_str(), 1);
  ::tzset();
}

TEST(TimeZone, RefusesWhatIsNone) {
  for (const std::string_view bad :
       {"Europe/Berlinn", "../../etc/passwd", "/etc/passwd", "Europe", "+25:00", "+1", "a b"})
    EXPECT_THROW((void)TimeZone::load(bad), Error) << bad;
  std::mt19937_64 random(5);
  std::string file("TZif2");
  file.resize(400, '\0');
  for (int i = 0; i < 2000; ++i) {  // damaged files: refused or read, never a crash
    auto bytes = file;
    for (int k = 0; k < 20; ++k) bytes[5 + random() % (bytes.size() - 5)] = static_cast<char>(random() % 7);
    try {
      (void)TimeZone::from_tzif(bytes, "x")->resolve(0);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace penstock::format
