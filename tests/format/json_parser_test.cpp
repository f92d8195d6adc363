#include "format/json_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <random>

#include "format/line_test_text.h"
#include "io/cutter.h"

namespace penstock::format {
namespace {

constexpr std::int64_t kClock = 1'700'000'000'123'456'789;

JsonOptions options(bool predict = true) {
  JsonOptions made;
  made.clock = [] { return kClock; };
  made.predict = predict;
  return made;
}

struct Parsed {
  std::vector<std::string> rows;     // with tags
  std::vector<std::string> rejects;  // "code offset text"
};

std::string value_text(data::Type type, std::string_view bytes) {
  std::string text = std::string(data::type_name(type)) + ":";
  if (data::is_variable(type)) return text + std::string(bytes);
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

/// Parses the text in chunks as the cutter makes them.
Parsed parse(std::string_view text, const JsonOptions& with = options(), std::size_t chunk_bytes = 1 << 20) {
  schema::Registry registry;
  JsonParser parser(registry, with);
  io::Cutter cutter({io::Splitting::json, {}}, chunk_bytes, 1 << 20);
  Parsed parsed;
  for (std::size_t at = 0;;) {
    const auto cut = cutter.cut(text.substr(at), true);
    if (cut.kind == io::Cut::Kind::end) return parsed;
    EXPECT_EQ(cut.kind, io::Cut::Kind::records);
    data::RowSet rows;
    parser.parse(padded_chunk(text.substr(at, cut.bytes), at), rows);
    std::map<const data::Row*, const data::Series*> series;  // nothing is admitted here, so every row is noted
    for (const auto& [known, row] : rows.fresh()) series[row] = known;
    rows.for_each_row([&](const data::Row& row) {
      const auto& shape = rows.shapes()[row.shape];
      std::string line = fmt::format("{}+{} {} {} {}", at + row.offset, row.length, shape.table->name,
                                     registry.child(row.child).name.text().view(), row.time);
      for (std::size_t i = 0; i < shape.fields.size(); ++i) {
        const auto slot = row.slots()[i];
        const auto type = shape.fields[i].type;
        const std::string_view image(reinterpret_cast<const char*>(&slot), data::fixed_size(type));
        line += fmt::format(" {}={}", shape.fields[i].name,
                            value_text(type, data::is_variable(type) ? data::text_of(slot) : image));
      }
      for (const auto& tag : series.at(&row)->tags)
        line += fmt::format(" [{}={}]", registry.tag_key_name(tag.key), value_text(tag.type, tag.value()));
      parsed.rows.push_back(std::move(line));
    });
    EXPECT_EQ(rows.lines(), std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                       text.begin() + static_cast<std::ptrdiff_t>(at + cut.bytes), '\n'));
    for (const auto& reject : rows.rejects())
      parsed.rejects.push_back(fmt::format("{:04x} {} {}", reject.reason.code, at + reject.offset,
                                           text.substr(at + reject.offset, reject.length)));
    at += cut.bytes;
  }
}

// --- generated points, and the same points as simdjson sees them ---

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}
  std::size_t below(std::size_t most) { return random_() % most; }

  std::string blank() {
    static constexpr const char* kBlanks[] = {"", "", "", "", " ", "  ", "\n", "\r\n  ", "\t"};
    return spaced_ ? kBlanks[below(std::size(kBlanks))] : "";
  }
  std::string text() {
    static const std::vector<std::string> kTexts{
        "a",      "host-1",    "",    R"(q\"q)",           R"(\\)", R"(\u0041)", R"(\ud83d\ude00)", "数据",
        R"(},{)", R"(a\/b\n)", "x y", std::string(80, 'z')};
    return '"' + kTexts[below(kTexts.size())] + '"';
  }
  std::string number() {
    static const std::vector<std::string> kNumbers{"0",
                                                   "1",
                                                   "-17",
                                                   "1.5",
                                                   "0.1",
                                                   "-2.25e-3",
                                                   "1e5",
                                                   "1E+2",
                                                   "127",
                                                   "100.00001",
                                                   "9007199254740993",
                                                   "3.141592653589793238"};
    return below(3) == 0 ? kNumbers[below(kNumbers.size())] : fmt::format("{}.{}", below(1000), below(100));
  }
  std::string typed(std::string_view value, std::string_view type) {
    std::string a = fmt::format("\"value\"{}:{}{}", blank(), blank(), value), b = fmt::format("\"type\":\"{}\"", type);
    if (below(4) == 0) std::swap(a, b);
    return "{" + blank() + a + "," + blank() + b + "}";
  }
  std::string value() {
    switch (below(9)) {
      case 0: return below(2) == 0 ? "true" : "false";
      case 1: return text();
      case 2: return typed(std::to_string(below(100)), below(2) == 0 ? "i8" : "tinyint");
      case 3: return typed(number(), "bigint");
      case 4: return typed(number(), "float");
      case 5: return typed(text(), "nchar");
      case 6: return typed("true", "bool");
      default: return number();
    }
  }
  std::string time() {
    switch (below(6)) {
      case 0: return std::to_string(1'600'000'000 + below(1000));
      case 1: return typed(std::to_string(1'600'000'000'000'000 + below(1000)), "us");
      case 2: return typed(std::to_string(1'600'000'000'123'456'789 + below(1000)), "NS");
      case 3: return typed(std::to_string(below(1000) + 1), "s");
      default: return std::to_string(1'600'000'000'000 + below(1000));
    }
  }
  std::string tags() {
    std::string list;
    const std::size_t count = 1 + below(3);
    for (std::size_t i = 0; i < count; ++i)
      list += fmt::format("{}\"t{}\"{}:{}", i == 0 ? "" : "," + blank(), i, blank(), value());
    return "{" + list + "}";
  }
  /// A point; now and then in another style, as of another writer.
  std::string point() {
    if (below(20) == 0) spaced_ = !spaced_;
    if (order_.empty() || below(20) == 0) {
      order_ = {0, 1, 2, 3};
      std::shuffle(order_.begin(), order_.end(), random_);
    }
    if (below(10) == 0 || known_.empty()) known_.emplace_back("\"m" + std::to_string(below(5)) + "\"", tags());
    const auto& [metric, tags] = known_[below(4) == 0 ? below(known_.size()) : (next_++ % known_.size())];
    const std::string members[] = {"\"metric\":" + blank() + metric, "\"timestamp\":" + time(),
                                   "\"value\"" + blank() + ":" + value(), "\"tags\":" + tags};
    std::string made = "{";
    for (std::size_t i = 0; i < 4; ++i) made += (i == 0 ? "" : ",") + blank() + members[order_[i]];
    return made + blank() + "}";
  }

 private:
  std::mt19937 random_;
  bool spaced_ = false;
  std::vector<std::size_t> order_;
  std::vector<std::pair<std::string, std::string>> known_;
  std::size_t next_ = 0;
};

struct Typed {
  data::Type type = data::Type::null;
  std::string image;
};

template <class T>
std::string image_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

Typed typed_of(simdjson::dom::element given) {
  std::string type;
  simdjson::dom::element element = given;
  if (given.is_object()) {
    type = std::string(std::string_view(given["type"]));
    element = given["value"].value();
  }
  if (element.is_bool()) return {data::Type::boolean, image_of(static_cast<char>(bool(element)))};
  if (element.is_string())
    return {type == "nchar" ? data::Type::nchar : data::Type::varchar, std::string(std::string_view(element))};
  const double number = double(element);
  if (type == "i8" || type == "tinyint") return {data::Type::tinyint, image_of(static_cast<std::int8_t>(number))};
  if (type == "bigint") return {data::Type::bigint, image_of(static_cast<std::int64_t>(number))};
  if (type == "float") return {data::Type::float32, image_of(static_cast<float>(number))};
  return {data::Type::float64, image_of(number)};
}

/// The row of a point but for its place and the child table's name, from simdjson's document.
std::string expected_row(simdjson::dom::element point) {
  std::int64_t time = 0;
  const simdjson::dom::element given = point["timestamp"];
  if (given.is_object()) {
    const std::string_view unit = given["type"];
    const double count = double(given["value"]);
    time = static_cast<std::int64_t>(count) * (unit == "us" ? 1'000 : unit == "s" ? 1'000'000'000 : 1);
  } else {
    const auto count = std::int64_t(given);
    time = count < 10'000'000'000 ? count * 1'000'000'000 : count * 1'000'000;
  }
  const auto value = typed_of(point["value"]);
  std::string text =
      fmt::format("{} {} _value={}", std::string_view(point["metric"]), time, value_text(value.type, value.image));
  for (const auto& [key, tag] : simdjson::dom::object(point["tags"])) {
    const auto made = typed_of(tag);
    text += fmt::format(" [{}={}]", key, value_text(made.type, made.image));
  }
  return text;
}

std::string without_place(const std::string& row) {
  const auto space = row.find(' ');
  const auto table = row.find(' ', space + 1);
  const auto child = row.find(' ', table + 1);
  return row.substr(space + 1, table - space) + row.substr(child + 1);
}

TEST(JsonParser, ReadsWhatAnotherParserReads) {
  simdjson::dom::parser dom;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    Generator generate(seed);
    std::vector<std::string> points;
    for (int i = 0; i < 200; ++i) points.push_back(generate.point());
    std::vector<std::string> expected;
    for (const auto& point : points) expected.push_back(expected_row(dom.parse(simdjson::padded_string(point))));
    static const std::vector<std::array<std::string, 3>> kLayouts{
        {"[", ",", "]"}, {"", "\n", "\n"}, {"", "", ""}, {"[\n", ",\n", "\n]\n"}, {"[", "]\n[", "]"}};
    const auto& [open, between, close] = kLayouts[seed % kLayouts.size()];
    const std::string text = open + fmt::format("{}", fmt::join(points, between)) + close;
    const auto parsed = parse(text);
    ASSERT_EQ(parsed.rows.size(), expected.size()) << seed << fmt::format("{}", fmt::join(parsed.rejects, "\n"));
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(without_place(parsed.rows[i]), expected[i]) << seed << " " << points[i];
    const auto general = parse(text, options(false));
    EXPECT_EQ(parsed.rows, general.rows) << seed;
    EXPECT_TRUE(parsed.rejects.empty());
  }
}

TEST(JsonParser, GivesTheSameRowsWhereverTheTextIsCut) {
  for (std::uint32_t seed = 100; seed < 104; ++seed) {
    Generator generate(seed);
    std::string text = seed % 2 == 0 ? "[" : "";
    for (int i = 0; i < 12; ++i) {
      text += generate.point();
      text += seed % 2 == 0 ? "," : "\n";
      if (i % 5 == 4) text += seed % 3 == 0 ? R"({"metric":"broken,"timestamp":1},)" : "{\"metric\":\"half\n";
    }
    const auto whole = parse(text);
    EXPECT_EQ(whole.rows.size(), 12u);
    EXPECT_EQ(whole.rejects.size(), 2u);
    // Each place once as a first cut, and small chunks throughout.
    for (std::size_t chunk = 1; chunk < text.size(); chunk += 1 + chunk / 20) {
      const auto cut = parse(text, options(), chunk);
      ASSERT_EQ(cut.rows, whole.rows) << chunk;
      ASSERT_EQ(cut.rejects, whole.rejects) << chunk;
    }
  }
}

TEST(JsonParser, PredictionChangesNothingInDamagedText) {
  std::mt19937 random(9);
  std::size_t rejects = 0, rows = 0;
  for (std::uint32_t seed = 0; seed < 150; ++seed) {
    Generator generate(seed);
    std::string text;
    for (int i = 0; i < 30; ++i) text += generate.point() + (i % 3 == 0 ? "\n" : ",");
    for (std::size_t damage = 0; damage < 1 + seed % 6; ++damage) {
      const std::size_t at = random() % text.size();
      static constexpr std::string_view kBytes = "\"{}[],:\\\n x1-.e\0\xFF";
      if (damage % 3 == 0) text.erase(at, 1 + random() % 3);
      else text[at] = kBytes[random() % kBytes.size()];
    }
    const auto fast = parse(text);
    const auto general = parse(text, options(false));
    ASSERT_EQ(fast.rows, general.rows) << seed;
    ASSERT_EQ(fast.rejects, general.rejects) << seed;
    rejects += fast.rejects.size();
    rows += fast.rows.size();
  }
  EXPECT_GT(rejects, 200u);
  EXPECT_GT(rows, 3000u);  // a damage costs its own record
}

constexpr const char* kGood = R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a"}})";

TEST(JsonParser, ABadPointCostsOnlyItself) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"metric":"m","timestamp":1626006833,"value":null,"tags":{"t":"a"}})", "0221"},
      {R"({"metric":5,"timestamp":1626006833,"value":1,"tags":{"t":"a"}})", "0221"},
      {R"({"metric":"m","timestamp":1626006833,"value":1,"tags":["t"]})", "0221"},
      {R"({"metric":"m","timestamp":1626006833,"value":{"value":300,"type":"i8"},"tags":{"t":"a"}})", "0224"},
      {R"({"metric":"m","timestamp":1626006833,"value":{"value":1,"type":"u8"},"tags":{"t":"a"}})", "0222"},
      {R"({"metric":"m","timestamp":162600683,"value":1,"tags":{"t":"a"}})", "0127"},
      {R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a","t":"a"}})", "263c"},
      {R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a"})", "0221"},
      {R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a}})", "0221"},
  };
  for (const auto& [bad, code] : cases) {
    for (const char* const between : {",\n", "\n", ","}) {
      const std::string text = std::string("[") + kGood + between + bad + between + kGood + between + kGood + "]";
      const auto parsed = parse(text);
      EXPECT_EQ(parsed.rows.size(), 3u) << bad << between;
      ASSERT_EQ(parsed.rejects.size(), 1u) << bad << between;
      EXPECT_EQ(parsed.rejects[0],
                fmt::format("{} {} {}", code, 1 + std::string(kGood).size() + std::string(between).size(), bad));
    }
    // A reject file has one of them a line and is read again.
    const auto again = parse(bad + "\n" + bad + "\n");
    EXPECT_EQ(again.rejects.size(), 2u) << bad;
  }
}

TEST(JsonParser, AcceptsWhatFilesAreLike) {
  const std::string good = kGood;
  const std::vector<std::pair<std::string, std::size_t>> texts{
      {good + "\r\n\r\n" + good + "\r\n", 2},
      {"[" + good + ",]", 1},
      {" \n\n ", 0},
      {"", 0},
      {"[]", 0},
      {"[" + good + "," + good, 2},
      {R"({"TAGS":{"t":"a"},"Value":007,"metric":"m","timestamp":0})", 1}};
  for (const auto& [text, count] : texts) {
    const auto parsed = parse(text);
    EXPECT_EQ(parsed.rows.size(), count) << text;
    EXPECT_TRUE(parsed.rejects.empty()) << text;
  }
  schema::Registry registry;
  data::RowSet rows;
  JsonParser(registry, options()).parse(padded_chunk("\xEF\xBB\xBF" + good, 0), rows);
  EXPECT_EQ(rows.row_count(), 1u);
  EXPECT_TRUE(rows.rejects().empty());
  data::RowSet half;
  JsonParser(registry, options()).parse(padded_chunk(good + R"({"metric":"m","timest)"), half);
  EXPECT_EQ(half.row_count(), 1u);
  ASSERT_EQ(half.rejects().size(), 1u);
  EXPECT_EQ(half.rejects()[0].offset, good.size());
}

TEST(JsonParser, TagsMayBecomeColumnsOrBeLeftOut) {
  auto with = options();
  with.naming.drop_tags = {"d"};
  with.naming.tags_as_columns = {"c"};
  const auto parsed = parse(R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a","c":5,"d":"x"}})"
                            R"({"metric":"m","timestamp":1626006834,"value":1,"tags":{"d":"y","c":"s","t":"a"}})"
                            R"({"metric":"m","timestamp":1626006835,"value":1,"tags":{"t":"a"}})",
                            with);
  ASSERT_EQ(parsed.rows.size(), 3u);
  const auto plain = parse(R"({"metric":"m","timestamp":1626006835,"value":1,"tags":{"t":"a"}})");
  EXPECT_EQ(without_place(parsed.rows[2]), without_place(plain.rows[0]));
  EXPECT_NE(parsed.rows[0].find(" c=DOUBLE:"), std::string::npos) << parsed.rows[0];
  EXPECT_NE(parsed.rows[1].find(" c=VARCHAR:s [t=VARCHAR:a]"), std::string::npos) << parsed.rows[1];
}

TEST(JsonParser, SaysWhereItWentWrong) {
  schema::Registry registry;
  data::RowSet rows;
  const std::string text = "\n" + std::string(kGood) + "\n{\"metric\":\"m\",\"timestamp\":x}\n";
  JsonParser(registry, options()).parse(padded_chunk(text), rows);
  ASSERT_EQ(rows.rejects().size(), 1u);
  EXPECT_EQ(rows.rejects()[0].column, 27u);
  EXPECT_EQ(rows.rejects()[0].reason.text, "here stands no JSON value");
}

}  // namespace
}  // namespace penstock::format
