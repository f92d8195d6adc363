#include "wire/tmq.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "wire/block.h"
#include "wire/records.h"

namespace penstock::wire {
namespace {

const std::vector<std::string> kFiles = {"tmq_query_topic",          "tmq_offsets",          "tmq_errors",
                                         "tmq_db_and_stable_topics", "client_python_ws_tmq", "client_node_tmq"};

// Binary answers on /rest/tmq, with the action that they answer.
struct Answer {
  std::string action;
  std::string bytes;
};
std::vector<Answer> recorded_answers() {
  std::vector<Answer> all;
  for (const auto& file : kFiles) {
    std::map<int, std::string> asked;  // one request is outstanding at a time
    for (const auto& line : records::read(file)) {
      if (line.str("path") != "/rest/tmq") continue;
      const int conn = line.json.at("conn");
      if (line.sent() && line.str("kind") == "text") {
        const auto json = nlohmann::json::parse(line.bytes, nullptr, false);
        if (json.is_object()) asked[conn] = json.value("action", "");
      }
      if (line.received() && line.str("kind") == "binary") all.push_back({asked[conn], line.bytes});
    }
  }
  return all;
}

TEST(TmqAnswers, EncodeToWhatTheServerSent) {
  const auto answers = recorded_answers();
  if (answers.empty()) GTEST_SKIP() << "no recorded conversations at " << records::folder();
  std::map<std::string, std::size_t> compared;
  for (const auto& [action, bytes] : answers) {
    if (action == "fetch_raw_data") {
      EXPECT_EQ(encode_raw_data_answer(decode_raw_data_answer(bytes)), bytes);
    } else if (action == "fetch_raw") {
      EXPECT_EQ(encode_raw_answer(decode_raw_answer(bytes)), bytes);
    } else if (action == "fetch_block") {
      EXPECT_EQ(encode_message_block_answer(decode_message_block_answer(bytes)), bytes);
    } else {
      FAIL() << "binary answer to " << action;
    }
    ++compared[action];
  }
  std::printf("equal: %zu fetch_raw_data, %zu fetch_raw, %zu fetch_block\n", compared["fetch_raw_data"],
              compared["fetch_raw"], compared["fetch_block"]);
  EXPECT_GE(compared["fetch_raw_data"], 58U);
  EXPECT_GE(compared["fetch_raw"], 9U);
  EXPECT_GE(compared["fetch_block"], 25U);
}

TEST(TmqPayload, EncodesToWhatTheServerSent) {
  const auto answers = recorded_answers();
  if (answers.empty()) GTEST_SKIP() << "no recorded conversations at " << records::folder();
  std::size_t compared = 0;
  std::set<std::string> tables;
  for (const auto& [action, bytes] : answers) {
    if (action != "fetch_raw_data") continue;
    const auto answer = decode_raw_data_answer(bytes);
    if (answer.type != number(RawType::data) && answer.type != number(RawType::data_and_meta)) continue;
    const auto payload = decode_data_payload(answer.payload);
    EXPECT_EQ(encode_data_payload(payload), answer.payload);
    ASSERT_EQ(payload.head.size(), 18U);
    EXPECT_EQ(message_head(load<std::int64_t>(payload.head.data() + 1), load<std::int64_t>(payload.head.data() + 10)),
              payload.head);
    if (answer.type == number(RawType::data)) {
      EXPECT_EQ(payload.tail, std::string(8, '\0'));
    }
    for (std::size_t b = 0; b < payload.blocks.size(); ++b) {
      const auto& entry = payload.blocks[b];
      const auto block = Block::decode(entry.block);
      EXPECT_EQ(block.rows(), entry.rows);
      const auto columns = payload.columns_of(b);
      ASSERT_EQ(columns.size(), block.columns());
      for (std::uint32_t c = 0; c < block.columns(); ++c) {
        EXPECT_EQ(columns[c].type, block.type(c));
        EXPECT_EQ(columns[c].stored_bytes, block.stored_bytes(c));
      }
      EXPECT_EQ(columns[0].name, "ts");
      EXPECT_EQ(columns[0].flags, payload.with_tables ? 1 : 0);
      if (payload.with_tables) tables.emplace(entry.table);
    }
    ++compared;
  }
  std::printf("equal: %zu payloads\n", compared);
  EXPECT_GE(compared, 20U);
  EXPECT_EQ(tables, (std::set<std::string>{"c1", "c2", "c4"}));
}

// Heap memory of exactly the size, so that the sanitizer sees a read beyond it.
template <class Decode>
void expect_refused(std::string_view bytes, Decode decode) {
  const auto heap = std::make_unique<char[]>(bytes.size());
  std::memcpy(heap.get(), bytes.data(), bytes.size());
  try {
    decode(std::string_view(heap.get(), bytes.size()));
    ADD_FAILURE() << bytes.size() << " bytes were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::protocol);
  }
}

DataPayload sample(std::string_view head, std::string_view tail) {
  DataPayload payload;
  payload.head = head;
  payload.with_tables = true;
  payload.tail = tail;
  payload.blocks = {{.rows = 1, .precision = 2, .block = "block", .first_column = 0, .column_count = 2, .table = "c1"},
                    {.rows = 300,
                     .precision = 0,
                     .block = "another block",
                     .schema_version = 7,
                     .first_column = 2,
                     .column_count = 1,
                     .table = "\xe8\xa1\xa8"}};
  payload.columns = {{data::Type::timestamp, 1, 8, 1, "ts"},
                     {data::Type::varchar, 1, 65519, 300, "a long name of a column"},
                     {data::Type::timestamp, 1, 8, -1, ""}};
  return payload;
}

TEST(TmqPayload, ReadsBackWhatItWrote) {
  const auto head = message_head(3, 15);
  const auto bytes = encode_data_payload(sample(head, "tail"));
  const auto back = decode_data_payload(bytes);
  EXPECT_EQ(back.head, head);
  ASSERT_EQ(back.blocks.size(), 2U);
  EXPECT_EQ(back.blocks[0].block, "block");
  EXPECT_EQ(back.blocks[0].rows, 1U);
  EXPECT_EQ(back.blocks[0].precision, 2);
  EXPECT_EQ(back.blocks[1].rows, 300U);
  EXPECT_EQ(back.blocks[1].schema_version, 7);
  EXPECT_EQ(back.blocks[1].table, "\xe8\xa1\xa8");
  EXPECT_EQ(back.columns, sample(head, "").columns);
  EXPECT_EQ(back.columns_of(1)[0].id, -1);
  EXPECT_EQ(back.tail, "tail");
}

TEST(TmqPayload, RefusesEveryCut) {
  const auto bytes = encode_data_payload(sample(message_head(0, 1), ""));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    expect_refused(bytes.substr(0, size), [](auto cut) { decode_data_payload(cut); });
}

TEST(TmqPayload, SkipsHeadsOfOlderServers) {
  const std::string blocks = encode_data_payload(sample("", "")).substr(5);
  for (const auto& [first, second] : {std::pair{1, 1}, {1, 2}, {2, 1}, {3, 3}}) {
    std::string bytes(1, static_cast<char>(first));
    bytes.append(first == 1 ? 8 : 16, 'x');
    bytes += static_cast<char>(second);
    bytes.append(second == 1 ? 8 : 16, 'x');
    EXPECT_EQ(decode_data_payload(bytes + blocks).blocks.size(), 2U);
  }
  expect_refused(std::string(1, '\4') + std::string(64, '\0'), [](auto bytes) { decode_data_payload(bytes); });
}

TEST(TmqPayload, RefusesWhatCannotBe) {
  const std::string head("\x64\0\0\0\0", 5);
  const auto refused = [&](std::string rest) {
    expect_refused(head + rest, [](auto bytes) { decode_data_payload(bytes); });
  };
  refused(std::string("\xff\xff\xff\xff\1\1", 6));                                       // a negative number of blocks
  refused(std::string("\xff\xff\xff\x7f\1\1", 6) + std::string(40, '\0'));               // more than fit
  refused(std::string("\1\0\0\0\1\1", 6) + "\x11" + std::string(40, '\0'));              // shorter than its head
  refused(std::string("\1\0\0\0\1\1\xff\xff\xff\xff\x7f", 11) + std::string(40, '\0'));  // 35 bits of length
  refused(std::string("\1\0\0\0\1\1", 6) + "\x12" + std::string(16, '\0') + std::string("\1\0", 2) +
          std::string(8, '\0'));  // compressed
  refused(std::string("\1\0\0\0\0\1", 6) + "\x12" + std::string(18, '\0') + "\xfe\x7f" + std::string(8, '\0'));
  refused(std::string("\1\0\0\0\1\0", 6) + "\x12" + std::string(18, '\0') + std::string("\0", 1));  // no end of a name
  refused(std::string("\1\0\0\0\1\0", 6) + "\x12" + std::string(18, '\0') + std::string("\2ab", 3));  // nor here
}

TEST(TmqAnswers, RefuseEveryCut) {
  const auto raw_data = encode_raw_data_answer(
      {.timing_ns = 1, .request_id = 2, .message = "", .message_id = 3, .type = 2, .payload = "payload"});
  const auto error =
      encode_raw_data_answer({.code = 0xFFFF, .message = "tmq not init", .message_id = 1, .payload = {}});
  for (std::size_t size = 0; size < raw_data.size(); ++size)
    expect_refused(raw_data.substr(0, size), [](auto cut) { decode_raw_data_answer(cut); });
  for (std::size_t size = 0; size < error.size(); ++size)
    expect_refused(error.substr(0, size), [](auto cut) { decode_raw_data_answer(cut); });
  const auto raw = encode_raw_answer({.message_id = 3, .type = 531, .payload = "payload"});
  for (std::size_t size = 0; size < raw.size(); ++size)
    expect_refused(raw.substr(0, size), [](auto cut) { decode_raw_answer(cut); });
  const auto block = encode_message_block_answer({.message_id = 3, .block = ""});
  for (std::size_t size = 0; size < block.size(); ++size)
    expect_refused(block.substr(0, size), [](auto cut) { decode_message_block_answer(cut); });
  EXPECT_EQ(decode_raw_data_answer(error).message, "tmq not init");
  EXPECT_EQ(decode_raw_answer(raw).payload, "payload");
}

}  // namespace
}  // namespace penstock::wire
