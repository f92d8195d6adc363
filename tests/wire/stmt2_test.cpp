#include "wire/stmt2.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "wire/records.h"

namespace penstock::wire {
namespace {

using data::Type;

const std::vector<std::string> kFiles{"stmt2",          "stmt2_types_ms", "stmt2_types_us",
                                      "stmt2_types_ns", "stmt2_errors",   "client_python_ws_stmt2_types"};

// Every byte that the views lead to is read, so that the sanitizer sees a view that leaves the message.
std::size_t touch(const BindRecord& record) {
  std::size_t sum = 0;
  record.for_each([&](std::uint32_t, CellState state, std::string_view bytes) {
    sum += static_cast<std::size_t>(state);
    for (const char c : bytes) sum += static_cast<unsigned char>(c);
  });
  return sum;
}

std::size_t touch(const Stmt2Bind& bind) {
  std::size_t sum = 0;
  for (const auto& table : bind.tables) {
    sum += table.name.size();
    for (const auto& tag : table.tags) sum += touch(tag);
    for (const auto& column : table.columns) sum += touch(column);
  }
  return sum;
}

void encode_record(Stmt2Encoder& encoder, const BindRecord& record) {
  const auto type = static_cast<Type>(record.type);
  if (record.buffer.empty() && record.rows > 0 && record.cell_state(0) != CellState::value) {
    const bool uniform =
        std::all_of(record.state, record.state + record.rows, [&](char state) { return state == record.state[0]; });
    if (uniform) return encoder.uniform_column(type, record.rows, record.cell_state(0));
  }
  if (record.have_length) {
    const auto column = encoder.variable_column(type, record.rows, record.buffer.size());
    std::memcpy(column.state, record.state, record.rows);
    std::memcpy(column.lengths, record.lengths, std::size_t{4} * record.rows);
    std::memcpy(column.data, record.buffer.data(), record.buffer.size());
  } else {
    const auto column = encoder.fixed_column(type, record.rows);
    std::memcpy(column.state, record.state, record.rows);
    std::memcpy(column.values, record.buffer.data(), record.buffer.size());
  }
}

void encode_tag(Stmt2Encoder& encoder, const BindRecord& record) {
  const auto type = static_cast<Type>(record.type);
  if (record.cell_state(0) != CellState::value) return encoder.null_tag(type);
  if (record.have_length) return encoder.text_tag(type, record.buffer);
  std::uint64_t bits = 0;
  std::memcpy(&bits, record.buffer.data(), std::min<std::size_t>(8, record.buffer.size()));
  encoder.fixed_tag(type, bits);
}

std::string encode_again(Stmt2Encoder& encoder, const Stmt2Bind& bind) {
  encoder.begin(bind.tag_count, bind.column_count);
  for (const auto& table : bind.tables) {
    encoder.begin_table(bind.has_names ? std::optional(table.name) : std::nullopt);
    for (const auto& tag : table.tags) encode_tag(encoder, tag);
    for (const auto& column : table.columns) encode_record(encoder, column);
  }
  return encoder.join(bind.request_id, bind.statement_id);
}

// The adapter's own opinion of a message, as far as it was recorded: nullopt when it accepted it.
std::optional<std::string> recorded_refusal(const records::Line& answer) {
  const auto json = nlohmann::json::parse(answer.bytes);
  if (json.at("code") != 65535) return std::nullopt;
  return json.at("message").get<std::string>();
}

TEST(Stmt2Bind, EncodesWhatClientsSentByteForByte) {
  Stmt2Encoder encoder;
  std::size_t compared = 0;
  for (const auto& file : kFiles) {
    const auto lines = records::read(file);
    PENSTOCK_NEED_RECORDS(lines);
    std::string note;
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
      const auto& line = lines[i];
      if (line.json.contains("note")) note = line.str("note");
      if (!line.sent() || line.str("kind") != "binary") continue;
      const auto header = read_request_header(line.bytes);
      if (!header || header->action != 9) continue;
      const auto bind = decode_stmt2_bind(line.bytes);
      if (!lines[i + 1].received() || lines[i + 1].str("kind") != "text") continue;
      const auto answer = nlohmann::json::parse(lines[i + 1].bytes);
      if (answer.at("code") == 65535) continue;
      if (!bind) {
        ADD_FAILURE() << file << ": refused what the server took: " << bind.error().message << " in " << note;
        continue;
      }
      touch(*bind);
      if (answer.at("code") != 0 || bind->tables.empty()) continue;
      // A single column and tags of several rows are misuse that the server takes; the encoder does not offer them.
      bool plain = bind->column_index == -1;
      for (const auto& table : bind->tables)
        for (const auto& tag : table.tags) plain = plain && tag.rows == 1;
      plain = plain && std::all_of(bind->records.begin(), bind->records.end(), [](const BindRecord& record) {
                return record.rows > 0 && record.rows <= data::Limits::rows_per_table;
              });
      if (!plain) continue;
      EXPECT_EQ(encode_again(encoder, *bind), line.bytes) << file << ": " << note;
      ++compared;
    }
  }
  EXPECT_GE(compared, 50U);
}

// Files of damaged messages: where the real server's answer comes from its own checks, ours has the same text.
TEST(Stmt2Bind, RefusesDamagedMessagesWithTheServersText) {
  const auto lines = records::read("stmt2_malformed");
  PENSTOCK_NEED_RECORDS(lines);
  // The server counts in 32 bits: where a sum wraps it finds something else to complain about, or nothing, or dies.
  // A type of another size makes it read outside the record.
  const auto may_differ = [](const std::string& what) {
    for (const std::string_view part : {"-> 2147483647", "-> 4294967295", "-> 10000", "length[0]", "type 4 -> 5"})
      if (what.find(part) != std::string::npos) return true;
    return false;
  };
  std::string note;
  std::size_t same = 0;
  std::size_t refused = 0;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const auto& line = lines[i];
    if (line.json.contains("note")) note = line.str("note");
    if (!line.sent() || line.str("kind") != "binary") continue;
    const auto header = read_request_header(line.bytes);
    if (!header || header->action != 9) continue;
    const auto bind = decode_stmt2_bind(line.bytes);
    if (bind) touch(*bind);
    else ++refused;
    const auto& answer = lines[i + 1];
    if (answer.str("kind") != "text") {  // the real process ended here
      EXPECT_FALSE(bind) << note;
      continue;
    }
    const auto expected = recorded_refusal(answer);
    const std::string ours = bind ? "" : bind.error().message;
    if (expected.value_or("") == ours) {
      ++same;
    } else {
      EXPECT_TRUE(may_differ(note)) << note << ": server '" << expected.value_or("") << "', here '" << ours << "'";
    }
  }
  EXPECT_GE(same, 110U);
  EXPECT_GE(refused, 90U);
}

TEST(Stmt2BindExec, RefusesDamagedMessagesWithTheServersText) {
  const auto lines = records::read("stmt2_bind_exec_later_adapter");
  PENSTOCK_NEED_RECORDS(lines);
  std::size_t compared = 0;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    if (!lines[i].sent() || lines[i].str("kind") != "binary") continue;
    const auto header = read_request_header(lines[i].bytes);
    if (!header || header->action != 11) continue;
    const auto bind = decode_stmt2_bind_exec(lines[i].bytes);
    const auto refusal = recorded_refusal(lines[i + 1]);
    ++compared;
    if (refusal && *refusal != "stmt2 is nil") {
      ASSERT_FALSE(bind) << *refusal;
      EXPECT_EQ(bind.error().message, *refusal);
      continue;
    }
    ASSERT_TRUE(bind) << bind.error().message;
    for (const auto& field : bind->fields) touch(field);
    Stmt2ExecEncoder encoder;
    encoder.begin(bind->rows);
    for (const auto& field : bind->fields) {
      const auto type = static_cast<Type>(field.type);
      if (field.have_length) {
        const auto column = encoder.variable_field(type, field.buffer.size());
        std::memcpy(column.state, field.state, field.rows);
        std::memcpy(column.lengths, field.lengths, std::size_t{4} * field.rows);
        std::memcpy(column.data, field.buffer.data(), field.buffer.size());
      } else {
        const auto column = encoder.fixed_field(type);
        std::memcpy(column.state, field.state, field.rows);
        std::memcpy(column.values, field.buffer.data(), field.buffer.size());
      }
    }
    EXPECT_EQ(encoder.join(bind->request_id, bind->statement_id, bind->table_runs), lines[i].bytes);
  }
  EXPECT_GE(compared, 16U);
}

Stmt2Encoder small_message() {
  Stmt2Encoder encoder;
  encoder.begin(2, 3);
  for (const std::string_view name : {"d1", "d2"}) {
    encoder.begin_table(name);
    encoder.fixed_tag(Type::integer, 7);
    encoder.text_tag(Type::nchar, "京");
    const auto time = encoder.fixed_column(Type::timestamp, 2);
    time.state[0] = time.state[1] = 0;
    store(time.values, std::int64_t{1'700'000'000'000});
    store(time.values + 8, std::int64_t{1'700'000'000'001});
    const auto text = encoder.variable_column(Type::varchar, 2, 3);
    text.state[0] = 0;
    text.state[1] = 1;
    store(text.lengths, std::int32_t{3});
    store(text.lengths + 4, std::int32_t{0});
    std::memcpy(text.data, "abc", 3);
    encoder.absent_column(Type::float64, 2);
  }
  return encoder;
}

TEST(Stmt2Bind, CanBeSentAgainWithOtherIds) {
  auto encoder = small_message();
  const auto first = encoder.join(1, 2);
  const auto second = encoder.join(3, 0xFFFF'FFFF'FFFF'FFFF);
  EXPECT_EQ(first.size(), encoder.bytes());
  EXPECT_EQ(first.substr(16), second.substr(16));
  const auto bind = decode_stmt2_bind(second);
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->request_id, 3U);
  EXPECT_EQ(bind->statement_id, 0xFFFF'FFFF'FFFF'FFFF);
  ASSERT_EQ(bind->tables.size(), 2U);
  EXPECT_EQ(bind->tables[1].name, "d2");
  EXPECT_EQ(bind->tables[1].tags[1].buffer, "京");
  std::vector<std::string> cells;
  bind->tables[0].columns[1].for_each([&](std::uint32_t, CellState state, std::string_view bytes) {
    cells.push_back(state == CellState::value ? std::string(bytes) : "NULL");
  });
  EXPECT_EQ(cells, (std::vector<std::string>{"abc", "NULL"}));
  EXPECT_EQ(bind->tables[0].columns[2].cell_state(1), CellState::not_given);
}

// These end the real adapter's process, so they must never leave this one.
TEST(Stmt2Bind, IsNotSentWithoutTablesOrRows) {
  Stmt2Encoder encoder;
  encoder.begin(0, 1);
  EXPECT_THROW(encoder.parts(1, 1), Error);
  encoder.begin_table("t");
  encoder.fixed_column(Type::timestamp, 0);
  EXPECT_THROW(encoder.parts(1, 1), Error);
  encoder.begin(0, 1);
  encoder.begin_table("t");
  encoder.absent_column(Type::timestamp, 32768);
  EXPECT_THROW(encoder.parts(1, 1), Error);
  encoder.begin(0, 1);
  encoder.begin_table("t");
  encoder.absent_column(Type::timestamp, 32767);
  EXPECT_NO_THROW(encoder.parts(1, 1));
}

TEST(Stmt2Bind, SurvivesRandomDamage) {
  auto encoder = small_message();
  const std::string good = encoder.join(1, 1);
  std::mt19937_64 random(20'261'122);
  std::size_t accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string bytes = good;
    const auto changes = 1 + random() % 4;
    for (std::uint64_t i = 0; i < changes; ++i) {
      const auto at = 24 + random() % (bytes.size() - 24);
      if (random() % 3 == 0 && at + 4 <= bytes.size()) {
        constexpr std::uint32_t kEdges[]{0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 32768, 65536};
        store(bytes.data() + at, kEdges[random() % std::size(kEdges)]);
      } else {
        bytes[at] = static_cast<char>(random());
      }
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (random() % 2 == 0 && bytes.size() > 34) store(bytes.data() + 30, static_cast<std::uint32_t>(bytes.size() - 30));
    // A heap copy of the exact size, so that reading one byte too many is seen.
    const auto heap = std::make_unique<char[]>(bytes.size());
    std::memcpy(heap.get(), bytes.data(), bytes.size());
    const std::string_view message(heap.get(), bytes.size());
    if (const auto bind = decode_stmt2_bind(message)) {
      touch(*bind);
      ++accepted;
    }
    if (const auto bind = decode_stmt2_bind_exec(message))
      for (const auto& field : bind->fields) touch(field);
  }
  EXPECT_GT(accepted, 1000U);
}

}  // namespace
}  // namespace penstock::wire
