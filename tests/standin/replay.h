#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "standin/library.h"

namespace penstock::test {

using Json = nlohmann::json;

std::string to_hex(const void* bytes, std::size_t size);
std::string from_hex(const std::string& hex);

/// The memory behind a TAOS_STMT2_BINDV that a record describes. What the record does not give is zero, so that a call
/// which reads behind the described arrays finds an empty bind there.
class RecordedBind {
 public:
  explicit RecordedBind(const Json& bindv);
  TAOS_STMT2_BINDV bindv{};

 private:
  TAOS_STMT2_BIND* add(const Json& binds);
  std::vector<std::unique_ptr<std::vector<TAOS_STMT2_BIND>>> arrays_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<std::unique_ptr<std::vector<std::int32_t>>> lengths_;
  std::vector<char*> names_;
  std::vector<TAOS_STMT2_BIND*> tags_;
  std::vector<TAOS_STMT2_BIND*> columns_;
};

/// Repeats recorded calls of the C interface on the library, each with what the record says was passed, and gives back
/// what it answered in the record's own form.
class Replay {
 public:
  explicit Replay(const Library& library) : library_(library) {}
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// A connection to a server of its own.
  void connect();
  void execute(const std::string& sql);
  /// The record with every member that a call answers replaced by what this call answered.
  Json run(const Json& record);

 private:
  Json query(const Json& record);
  Json result_members(Json answer, TAOS_RES* result);
  Json fetch_row(Json answer);
  Json fetch_raw_block(Json answer);
  Json schemaless(Json answer);
  Json statement(Json answer);
  Json get_fields(Json answer);
  Json statement_code(Json answer, int code);
  Json tried_connect(Json answer);
  void free_result();

  const Library& library_;
  TAOS* taos_ = nullptr;
  TAOS_RES* result_ = nullptr;
  TAOS_RES* statement_result_ = nullptr;
  TAOS_STMT2* statement_ = nullptr;
  Json bind_call_;
};

}  // namespace penstock::test
