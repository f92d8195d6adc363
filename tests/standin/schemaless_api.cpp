#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "standin/call.h"
#include "standin/connection.h"
#include "standin/result.h"
#include "standin/taos_abi.h"

/// The ten calls of schemaless insert, which differ in their arguments only.
namespace penstock::standin {
namespace {

struct Request {
  int protocol = 0;
  int precision = 0;
  std::int32_t ttl = 0;
  const char* table_name_key = nullptr;
};

/// As the real library counts before it looks at them.
std::int32_t line_count(const std::string& text, int protocol) {
  if (text.empty()) return 0;
  if (protocol == 3) return 1;
  return static_cast<std::int32_t>(std::count(text.begin(), text.end(), '\n')) + (text.back() == '\n' ? 0 : 1);
}

/// `payload()` may throw for arguments that make the call answer NULL.
template <class Payload>
TAOS_RES* insert(const char* function, TAOS* taos, const Request& request, std::int32_t* total_rows, Payload payload) {
  if (total_rows != nullptr) *total_rows = 0;
  bool has_result = false;
  return call(
      function,
      [&](Failure failure) -> TAOS_RES* {
        if (has_result) return give_out(std::make_shared<Result>(std::move(failure)));
        last_failure() = std::move(failure);
        return nullptr;
      },
      [&]() -> TAOS_RES* {
        const auto connection = find<Connection>(taos);
        if (!connection) fail(0x0213, "Disconnected from service");
        const std::string text = payload();
        has_result = true;
        std::int32_t lines = 0;
        std::int64_t affected = 0;
        const auto count = [&] {
          if (total_rows != nullptr) *total_rows = lines > 0 ? lines : line_count(text, request.protocol);
        };
        try {
          affected = connection->with_session([&](sandbox::Session& session) {
            return session.insert_schemaless(request.protocol, request.precision, text, request.ttl,
                                             request.table_name_key == nullptr ? "" : request.table_name_key, lines);
          });
        } catch (...) {
          count();
          throw;
        }
        count();
        auto result = std::make_shared<Result>(connection);
        result->set_affected_rows(affected);
        return give_out(std::move(result));
      });
}

TAOS_RES* insert_raw(const char* function, TAOS* taos, const char* lines, int length, std::int32_t* total_rows,
                     const Request& request) {
  return insert(function, taos, request, total_rows, [&] {
    if (lines == nullptr || length < 0) fail_parameters();
    return std::string(lines, static_cast<std::size_t>(length));
  });
}

TAOS_RES* insert_lines(const char* function, TAOS* taos, char* lines[], int count, const Request& request) {
  return insert(function, taos, request, nullptr, [&] {
    if (lines == nullptr || count < 0) fail_parameters();
    std::string text;
    for (int i = 0; i < count; ++i) {
      if (lines[i] == nullptr) fail_parameters();
      if (i > 0) text += '\n';
      text += lines[i];
    }
    return text;
  });
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

TAOS_RES* taos_schemaless_insert(TAOS* taos, char* lines[], int count, int protocol, int precision) {
  return insert_lines("taos_schemaless_insert", taos, lines, count, {protocol, precision});
}

TAOS_RES* taos_schemaless_insert_with_reqid(TAOS* taos, char* lines[], int count, int protocol, int precision,
                                            int64_t) {
  return insert_lines("taos_schemaless_insert_with_reqid", taos, lines, count, {protocol, precision});
}

TAOS_RES* taos_schemaless_insert_ttl(TAOS* taos, char* lines[], int count, int protocol, int precision, int32_t ttl) {
  return insert_lines("taos_schemaless_insert_ttl", taos, lines, count, {protocol, precision, ttl});
}

TAOS_RES* taos_schemaless_insert_ttl_with_reqid(TAOS* taos, char* lines[], int count, int protocol, int precision,
                                                int32_t ttl, int64_t) {
  return insert_lines("taos_schemaless_insert_ttl_with_reqid", taos, lines, count, {protocol, precision, ttl});
}

TAOS_RES* taos_schemaless_insert_ttl_with_reqid_tbname_key(TAOS* taos, char* lines[], int count, int protocol,
                                                           int precision, int32_t ttl, int64_t, char* tbname_key) {
  return insert_lines("taos_schemaless_insert_ttl_with_reqid_tbname_key", taos, lines, count,
                      {protocol, precision, ttl, tbname_key});
}

TAOS_RES* taos_schemaless_insert_raw(TAOS* taos, char* lines, int len, int32_t* total_rows, int protocol,
                                     int precision) {
  return insert_raw("taos_schemaless_insert_raw", taos, lines, len, total_rows, {protocol, precision});
}

TAOS_RES* taos_schemaless_insert_raw_with_reqid(TAOS* taos, char* lines, int len, int32_t* total_rows, int protocol,
                                                int precision, int64_t) {
  return insert_raw("taos_schemaless_insert_raw_with_reqid", taos, lines, len, total_rows, {protocol, precision});
}

TAOS_RES* taos_schemaless_insert_raw_ttl(TAOS* taos, char* lines, int len, int32_t* total_rows, int protocol,
                                         int precision, int32_t ttl) {
  return insert_raw("taos_schemaless_insert_raw_ttl", taos, lines, len, total_rows, {protocol, precision, ttl});
}

TAOS_RES* taos_schemaless_insert_raw_ttl_with_reqid(TAOS* taos, char* lines, int len, int32_t* total_rows, int protocol,
                                                    int precision, int32_t ttl, int64_t) {
  return insert_raw("taos_schemaless_insert_raw_ttl_with_reqid", taos, lines, len, total_rows,
                    {protocol, precision, ttl});
}

TAOS_RES* taos_schemaless_insert_raw_ttl_with_reqid_tbname_key(TAOS* taos, char* lines, int len, int32_t* total_rows,
                                                               int protocol, int precision, int32_t ttl, int64_t,
                                                               char* tbname_key) {
  return insert_raw("taos_schemaless_insert_raw_ttl_with_reqid_tbname_key", taos, lines, len, total_rows,
                    {protocol, precision, ttl, tbname_key});
}
}
