#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/detail/native_abi.h"
#include "client/detail/native_bind.h"
#include "client/detail/native_library.h"
#include "wire/stmt2.h"

/// The structures of the C interface against what a real client library filled and took (recorded), and the versions
/// that it tells.
namespace penstock::client::detail {
namespace {

using Json = nlohmann::json;

std::vector<Json> records(const char* name) {
  const char* const root = std::getenv("PENSTOCK_CONFORMANCE");
  std::ifstream file(std::filesystem::path(root != nullptr ? root : "../shared/conformance") / "capi" / name);
  std::vector<Json> out;
  for (std::string line; std::getline(file, line);) out.push_back(Json::parse(line));
  return out;
}

std::string bytes_of(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::strtol(hex.substr(i, 2).c_str(), nullptr, 16));
  return out;
}

std::string hex_of(const char* bytes, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
    out += text;
  }
  return out;
}

template <class Field>
std::vector<Field> array_of(const Json& record) {
  const auto bytes = bytes_of(record.at("fields_hex").get<std::string>());
  std::vector<Field> out(bytes.size() / sizeof(Field));
  std::memcpy(static_cast<void*>(out.data()), bytes.data(), out.size() * sizeof(Field));
  return out;
}

TEST(NativeAbi, ReadsFieldsAsTheLibraryWritesThem) {
  std::size_t results = 0;
  std::size_t statements = 0;
  for (const auto& record : records("blocks.jsonl")) {
    if (!record.contains("fields_hex")) continue;
    const auto fields = array_of<native::FieldPlain>(record);
    ASSERT_EQ(fields.size(), record["fields"].size());
    for (std::size_t i = 0; i < fields.size(); ++i, ++results) {
      EXPECT_EQ(fields[i].name, record["fields"][i]["name"].get<std::string>());
      EXPECT_EQ(fields[i].type, record["fields"][i]["type"].get<int>());
      EXPECT_EQ(fields[i].bytes, record["fields"][i]["bytes"].get<int>());
    }
  }
  for (const char* const name : {"stmt2.jsonl", "stmt2_errors.jsonl"})
    for (const auto& record : records(name)) {
      // Those of the first generation and of results are other structures.
      if (!record.contains("fields_hex") || record["api"] != "taos_stmt2_get_fields") continue;
      const auto fields = array_of<native::FieldAll>(record);
      ASSERT_EQ(fields.size(), record["fields"].size());
      for (std::size_t i = 0; i < fields.size(); ++i, ++statements) {
        const auto& wanted = record["fields"][i];
        EXPECT_EQ(fields[i].name, wanted["name"].get<std::string>());
        EXPECT_EQ(fields[i].type, wanted["type"].get<int>());
        EXPECT_EQ(fields[i].precision, wanted["precision"].get<int>());
        EXPECT_EQ(fields[i].scale, wanted["scale"].get<int>());
        EXPECT_EQ(fields[i].bytes, wanted["bytes"].get<int>());
        EXPECT_EQ(fields[i].field_type, wanted["field_type"].get<int>());
      }
    }
  if (results + statements == 0) GTEST_SKIP() << "no records";
  std::printf("%zu fields of results and %zu of statements agree\n", results, statements);
  EXPECT_GT(results, 100U);
  EXPECT_GT(statements, 50U);
}

// A bind of the record as a message, and that as the library's arguments.
class Rebuilt {
 public:
  explicit Rebuilt(const Json& bindv) {
    const auto& tags = bindv["tags"];
    const auto& columns = bindv["cols"];
    const auto count = bindv["count"].get<std::size_t>();
    encoder_.begin(static_cast<std::uint32_t>(tags.is_null() ? 0 : tags[0].size()),
                   static_cast<std::uint32_t>(columns[0].size()));
    for (std::size_t t = 0; t < count; ++t) {
      if (bindv["tbnames"].is_null()) encoder_.begin_table(std::nullopt);
      else encoder_.begin_table(bindv["tbnames"][t].get<std::string>());
      if (!tags.is_null()) {
        wire::Buffer records;
        for (const auto& tag : tags[t]) put(records, tag);
        encoder_.tag_records(records.view());
      }
      for (const auto& column : columns[t]) put(column);
    }
    arrays.build(encoder_.parts(1, 2));
  }
  NativeBindArrays arrays;

 private:
  template <class Fixed, class Variable>
  static void fill(const Json& bind, Fixed&& fixed, Variable&& variable) {
    const auto buffer = bytes_of(bind["buffer"]);
    const auto states = bytes_of(bind["is_null"]);
    if (bind.contains("length")) {
      const wire::VariableColumn out = variable(buffer.size());
      std::memcpy(out.state, states.data(), states.size());
      for (std::size_t i = 0; i < bind["length"].size(); ++i)
        wire::store(out.lengths + 4 * i, bind["length"][i].get<std::int32_t>());
      std::memcpy(out.data, buffer.data(), buffer.size());
    } else {
      const wire::FixedColumn out = fixed();
      std::memcpy(out.state, states.data(), states.size());
      std::memcpy(out.values, buffer.data(), buffer.size());
    }
  }
  void put(const Json& bind) {
    const auto type = static_cast<data::Type>(bind["type"].get<int>());
    const auto rows = bind["num"].get<std::uint32_t>();
    fill(
        bind, [&] { return encoder_.fixed_column(type, rows); },
        [&](std::size_t bytes) { return encoder_.variable_column(type, rows, bytes); });
  }
  static void put(wire::Buffer& out, const Json& bind) {
    const auto type = static_cast<data::Type>(bind["type"].get<int>());
    fill(
        bind, [&] { return wire::Stmt2Encoder::fixed_record(out, type, 1); },
        [&](std::size_t bytes) { return wire::Stmt2Encoder::variable_record(out, type, 1, bytes); });
  }
  wire::Stmt2Encoder encoder_;
};

void expect_same(const native::Stmt2Bind& bind, const Json& wanted) {
  EXPECT_EQ(bind.buffer_type, wanted["type"].get<int>());
  ASSERT_EQ(bind.rows, wanted["num"].get<int>());
  EXPECT_EQ(hex_of(bind.is_null, static_cast<std::size_t>(bind.rows)), wanted["is_null"].get<std::string>());
  const auto buffer = wanted["buffer"].get<std::string>();
  EXPECT_EQ(bind.buffer == nullptr, buffer.empty());
  if (bind.buffer != nullptr) {
    EXPECT_EQ(hex_of(static_cast<const char*>(bind.buffer), buffer.size() / 2), buffer);
  }
  EXPECT_EQ(bind.length != nullptr, wanted.contains("length"));
  for (std::size_t i = 0; wanted.contains("length") && i < wanted["length"].size(); ++i)
    EXPECT_EQ(wire::load<std::int32_t>(reinterpret_cast<const char*>(bind.length) + 4 * i),
              wanted["length"][i].get<std::int32_t>());
}

TEST(NativeAbi, BindsWhatTheLibraryTakes) {
  std::size_t binds = 0;
  std::size_t left_out = 0;
  for (const char* const name : {"stmt2.jsonl", "stmt2_errors.jsonl"})
    for (const auto& record : records(name)) {
      if (!record.contains("bindv")) continue;
      const auto& bindv = record["bindv"];
      // Those that our own messages cannot be: tables with unequal counts, no or too many rows, no columns' states.
      bool possible = true;
      for (const auto& table : bindv["cols"])
        for (const auto& bind : table) {
          const auto rows = bind["num"].get<std::size_t>();
          possible &= rows > 0 && rows < 32'767 && bind["is_null"].get<std::string>().size() == 2 * rows;
        }
      if (!bindv["tbnames"].is_null())
        for (const auto& table : bindv["tbnames"]) possible &= table.is_string();
      if (!possible) {
        ++left_out;
        continue;
      }
      Rebuilt rebuilt(bindv);
      auto& arguments = rebuilt.arrays.tables();
      ASSERT_EQ(arguments.count, bindv["count"].get<int>());
      EXPECT_EQ(arguments.table_names == nullptr, bindv["tbnames"].is_null());
      EXPECT_EQ(arguments.tags == nullptr, bindv["tags"].is_null());
      for (std::size_t t = 0; t < bindv["count"].get<std::size_t>(); ++t) {
        if (arguments.table_names != nullptr) {
          EXPECT_EQ(arguments.table_names[t], bindv["tbnames"][t].get<std::string>());
        }
        for (std::size_t i = 0; arguments.tags != nullptr && i < bindv["tags"][t].size(); ++i, ++binds)
          expect_same(arguments.tags[t][i], bindv["tags"][t][i]);
        for (std::size_t i = 0; i < bindv["cols"][t].size(); ++i, ++binds)
          expect_same(arguments.columns[t][i], bindv["cols"][t][i]);
      }
    }
  if (binds + left_out == 0) GTEST_SKIP() << "no records";
  std::printf("%zu binds agree, %zu calls are of a kind that no message has\n", binds, left_out);
  EXPECT_GT(binds, 60U);
  EXPECT_LT(left_out, 8U);
}

TEST(NativeAbi, GivesDecimalsASlotARow) {
  wire::Stmt2Encoder encoder;
  encoder.begin(0, 1);
  encoder.begin_table(std::nullopt);
  const auto out = encoder.variable_column(data::Type::decimal128, 4, 32);
  for (std::uint32_t row = 0; row < 4; ++row) {
    out.state[row] = row % 2 == 0 ? 1 : 0;
    wire::store(out.lengths + 4 * row, row % 2 == 0 ? 0 : 16);
  }
  for (int i = 0; i < 32; ++i) out.data[i] = static_cast<char>(i);
  NativeBindArrays arrays;
  arrays.build(encoder.parts(1, 1));
  const auto& bind = arrays.tables().columns[0][0];
  const auto* const slots = static_cast<const char*>(bind.buffer);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(slots[16 + i], i);
    EXPECT_EQ(slots[48 + i], 16 + i);
  }
}

TEST(NativeAbi, ReadsVersions) {
  for (const auto& record : records("blocks.jsonl")) {
    const auto api = record.value("api", "");
    if (api == "taos_get_client_info" || api == "taos_get_server_info") {
      EXPECT_EQ(version_of_info(record["value"].get<std::string>().c_str()), "3.3.7.5") << api;
    }
  }
  EXPECT_EQ(version_of_info("version: v3.0.1.4"), "");
  EXPECT_EQ(version_of_info("ver: 3.4.0.1.alpha\nbuild"), "3.4.0.1.alpha");
  EXPECT_EQ(version_of_info(nullptr), "");
  EXPECT_EQ(version_of_info(""), "");
  const std::array<unsigned, 4> wanted{3, 3, 5, 0};
  for (const char* const newer : {"3.3.5.0", "3.3.5", "3.3.5.2.alpha", "3.3.10.0", "3.4", "4.0.0.0"})
    EXPECT_TRUE(version_at_least(newer, wanted)) << newer;
  for (const char* const older : {"3.3.4.8", "3.3.4", "3.2.10.9", "2.9.9.9", "", "x"})
    EXPECT_FALSE(version_at_least(older, wanted)) << older;
}

}  // namespace
}  // namespace penstock::client::detail
