#include "wire/messages.h"

#include <gtest/gtest.h>

#include <random>

#include "wire/errors.h"
#include "wire/frame.h"
#include "wire/records.h"
#include "wire/schemaless.h"

namespace penstock::wire {
namespace {

TEST(BinaryRequests, EqualThoseThatTheServerAccepted) {
  const auto lines = records::read("query_types_ms");
  PENSTOCK_NEED_RECORDS(lines);
  std::size_t compared = 0;
  for (const auto& line : lines) {
    if (!line.sent() || line.str("kind") != "binary") continue;
    const auto header = read_request_header(line.bytes);
    ASSERT_TRUE(header);
    if (header->action == number(Action::binary_query)) {
      const auto sql = decode_query(line.bytes);
      ASSERT_TRUE(sql);
      EXPECT_EQ(encode_query(header->request_id, *sql), line.bytes);
    } else {
      ASSERT_EQ(header->action, number(Action::fetch_raw_block));
      EXPECT_EQ(encode_fetch(header->request_id, header->id), line.bytes);
      EXPECT_FALSE(check_fetch(line.bytes));
    }
    ++compared;
  }
  EXPECT_GE(compared, 20U);
}

TEST(FetchAnswer, EncodesWhatTheServerSent) {
  std::size_t compared = 0;
  for (const std::string file : {"query_types_ms", "query_result_ids", "connect", "query_10000_rows"}) {
    const auto lines = records::read(file);
    PENSTOCK_NEED_RECORDS(lines);
    for (const auto& line : lines) {
      if (!line.received() || line.str("kind") != "binary" || !is_fetch_answer(line.bytes)) continue;
      EXPECT_EQ(encode_fetch_answer(decode_fetch_answer(line.bytes)), line.bytes) << file;
      ++compared;
    }
  }
  EXPECT_GE(compared, 40U);
}

TEST(FetchAnswer, RefusesEveryCut) {
  const std::string good = encode_fetch_answer(
      {.timing_ns = 1, .request_id = 2, .message = "", .result_id = 3, .finished = false, .block = "blockblock"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto heap = std::make_unique<char[]>(size);
    std::memcpy(heap.get(), good.data(), size);
    EXPECT_THROW(decode_fetch_answer({heap.get(), size}), Error) << size;
  }
  EXPECT_EQ(decode_fetch_answer(good).block, "blockblock");
}

TEST(BinaryQuery, RefusesWhatTheAdapterRefuses) {
  EXPECT_EQ(decode_query(encode_query(1, "")).error().message, "message length is too short");
  auto cut = encode_query(1, "select 1");
  cut.pop_back();
  EXPECT_EQ(decode_query(cut).error().message, "uncompleted message, sql length:8, remainMessageLength:7");
  EXPECT_FALSE(read_request_header(std::string(23, 'x')));
}

TEST(Errors, ClassesLeadToTheRightAction) {
  struct Case {
    std::int32_t code;
    std::string_view message;
    ErrorClass kind;
  };
  for (const auto& [code, message, kind] : {
           Case{0, "", ErrorClass::none},
           Case{0x000B, "", ErrorClass::reconnect},
           Case{0x0042, "", ErrorClass::reconnect},
           Case{0x0917, "", ErrorClass::not_ready},
           Case{0xFFFE, "", ErrorClass::pressure},
           Case{0x2603, "", ErrorClass::stale_schema},
           Case{0x0125, "", ErrorClass::stale_schema},
           Case{0x060B, "", ErrorClass::data},
           Case{static_cast<std::int32_t>(0x8000060B), "", ErrorClass::data},
           Case{0x7777, "", ErrorClass::data},
           Case{0x0357, "", ErrorClass::fatal},
           Case{0x0530, "", ErrorClass::already_done},
           Case{0xFFFF, "stmt2 is nil", ErrorClass::lost_state},
           Case{0xFFFF, "bind data length error, tableIndex: 0, fieldIndex: 1", ErrorClass::usage},
       })
    EXPECT_EQ(classify(code, message), kind) << code << ' ' << message;
  EXPECT_EQ(error_text(0x060B, "success"), "timestamp outside the database's KEEP range");
  EXPECT_EQ(error_text(0x060B, "Timestamp data out of range"), "Timestamp data out of range");
}

TEST(Schemaless, EscapesEveryByteAtEveryPlace) {
  for (std::size_t length = 0; length < 70; ++length)
    for (std::size_t at = 0; at < length; ++at)
      for (const char c : {'\0', '\n', '"', '\\', '\x1f', ' ', '\x7f'}) {
        std::string text(length, 'a');
        text[at] = c;
        std::string out = "\"";
        append_json_escaped(out, text);
        out += '"';
        ASSERT_EQ(nlohmann::json::parse(out).get<std::string>(), text) << length << ' ' << at << ' ' << int{c};
      }
}

TEST(Schemaless, RequestIsReadBackAsItWasMeant) {
  std::mt19937_64 random(3);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>(random() % 128);
  text += "μ中😀";
  std::string out;
  ASSERT_FALSE(encode_schemaless(
      out, {.request_id = 0xFFFF'FFFF'FFFF'FFFF, .precision = "ns", .ttl_days = 3, .table_name_key = "a\"b"}, text));
  const auto json = nlohmann::json::parse(out);
  EXPECT_EQ(json["action"], "insert");
  EXPECT_EQ(json["args"]["req_id"].get<std::uint64_t>(), 0xFFFF'FFFF'FFFF'FFFF);
  EXPECT_EQ(json["args"]["protocol"], 1);
  EXPECT_EQ(json["args"]["precision"], "ns");
  EXPECT_EQ(json["args"]["ttl"], 3);
  EXPECT_EQ(json["args"]["table_name_key"], "a\"b");
  EXPECT_EQ(json["args"]["data"].get<std::string>(), text);
}

TEST(Schemaless, SaysWhereTextIsNotUtf8) {
  for (const std::string_view bad : {"\xff", "\xc3", "\xe4\xb8", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"})
    for (const std::size_t before : {0U, 1U, 15U, 16U, 4000U}) {
      std::string text;
      while (text.size() < before) text += before % 2 == 0 && before - text.size() >= 3 ? "中" : "a";
      const auto place = text.size();
      text += std::string(bad) + " tail";
      std::string out;
      const auto found = encode_schemaless(out, {}, text);
      ASSERT_TRUE(found) << before;
      EXPECT_EQ(*found, place);
      EXPECT_TRUE(out.empty());
    }
}

TEST(MaskedFrame, CarriesThePartsInOnePiece) {
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U}) {
    std::string payload;
    for (std::size_t i = 0; i < size; ++i) payload += static_cast<char>(i * 7);
    const std::string_view all(payload);
    const std::string_view parts[]{all.substr(0, size / 3), all.substr(size / 3, size / 5),
                                   all.substr(size / 3 + size / 5)};
    Buffer out;
    append_masked_frame(out, parts, 0x04030201);
    const auto frame = out.view();
    const std::size_t head = size < 126 ? 2 : size < 65536 ? 4 : 10;
    ASSERT_EQ(frame.size(), head + 4 + size);
    EXPECT_EQ(frame[0], '\x82');
    std::string back(frame.substr(head + 4));
    for (std::size_t i = 0; i < back.size(); ++i) back[i] = static_cast<char>(back[i] ^ static_cast<char>(1 + i % 4));
    EXPECT_EQ(back, payload) << size;
  }
}

}  // namespace
}  // namespace penstock::wire
