#include "wire/errors.h"

#include <algorithm>
#include <array>

namespace penstock::wire {
namespace {

using enum ErrorClass;

// Sorted by code.
constexpr std::array kErrors{
    ErrorInfo{0x000B, reconnect, "engine network unavailable"},
    ErrorInfo{0x0015, reconnect, "host name of a database node cannot be resolved"},
    ErrorInfo{0x0018, reconnect, "connection to a database node broken"},
    ErrorInfo{0x0019, reconnect, "a database node did not answer in time"},
    ErrorInfo{0x0020, reconnect, "some database nodes are not connected"},
    ErrorInfo{0x0021, reconnect, "connection to some database nodes broken"},
    ErrorInfo{0x0022, reconnect, "too many sessions"},
    ErrorInfo{0x0023, reconnect, "network error between database nodes"},
    ErrorInfo{0x0024, reconnect, "network between database nodes is busy"},
    ErrorInfo{0x0102, pressure, "server out of memory"},
    ErrorInfo{0x0110, data, "unexpected generic error"},
    ErrorInfo{0x0111, not_ready, "action in progress"},
    ErrorInfo{0x0115, data, "invalid message"},
    ErrorInfo{0x0118, usage, "invalid parameter"},
    ErrorInfo{0x0125, stale_schema, "retry needed, the schema changed"},
    ErrorInfo{0x0126, not_ready, "RPC memory queue exhausted"},
    ErrorInfo{0x0127, data, "invalid timestamp format"},
    ErrorInfo{0x012C, not_ready, "timeout inside the database"},
    ErrorInfo{0x0130, not_ready, "database node is starting"},
    ErrorInfo{0x0131, not_ready, "database node is stopping"},
    ErrorInfo{0x0134, fatal, "this address is not allowed to connect"},
    ErrorInfo{0x0137, pressure, "out of buffer"},
    ErrorInfo{0x0200, stale_schema, "invalid operation"},
    ErrorInfo{0x0203, data, "invalid value"},
    ErrorInfo{0x020A, data, "table name too long or empty"},
    ErrorInfo{0x0213, reconnect, "disconnected from service"},
    ErrorInfo{0x0215, reconnect, "connection was killed"},
    ErrorInfo{0x0216, usage, "syntax error in SQL"},
    ErrorInfo{0x0219, usage, "SQL statement too long"},
    ErrorInfo{0x021B, data, "syntax error in line"},
    ErrorInfo{0x021D, data, "duplicated column names"},
    ErrorInfo{0x021F, data, "invalid column length"},
    ErrorInfo{0x0221, data, "invalid JSON format"},
    ErrorInfo{0x0222, data, "invalid JSON data type"},
    ErrorInfo{0x0224, data, "value out of range"},
    ErrorInfo{0x022A, usage, "statement calls in the wrong order"},
    ErrorInfo{0x022B, usage, "statement's table name not set correctly"},
    ErrorInfo{0x022C, usage, "clause not supported in a statement"},
    ErrorInfo{0x022D, usage, "query killed"},
    ErrorInfo{0x022E, not_ready, "no execution node"},
    ErrorInfo{0x0230, usage, "statement cache error"},
    ErrorInfo{0x0236, usage, "number of bound rows out of range"},
    ErrorInfo{0x0303, fatal, "insufficient privilege"},
    ErrorInfo{0x032C, not_ready, "object is being created"},
    ErrorInfo{0x032D, not_ready, "object is being dropped"},
    ErrorInfo{0x0350, usage, "user already exists"},
    ErrorInfo{0x0351, fatal, "invalid user"},
    ErrorInfo{0x0352, fatal, "invalid user format"},
    ErrorInfo{0x0353, fatal, "invalid password format"},
    ErrorInfo{0x0354, fatal, "cannot get user from connection"},
    ErrorInfo{0x0355, fatal, "too many users"},
    ErrorInfo{0x0357, fatal, "authentication failure"},
    ErrorInfo{0x0362, stale_schema, "super table does not exist"},
    ErrorInfo{0x0380, fatal, "database not specified or available"},
    ErrorInfo{0x0383, fatal, "invalid database name"},
    ErrorInfo{0x0386, fatal, "database is being dropped"},
    ErrorInfo{0x0388, fatal, "database does not exist"},
    ErrorInfo{0x03C6, not_ready, "invalid schema version"},
    ErrorInfo{0x03D3, not_ready, "conflicting transaction not completed"},
    ErrorInfo{0x03D5, not_ready, "transaction: network unavailable"},
    ErrorInfo{0x03D7, not_ready, "transaction: sync timeout"},
    ErrorInfo{0x03E0, usage, "topic already exists"},
    ErrorInfo{0x03E1, usage, "topic does not exist"},
    ErrorInfo{0x03EA, not_ready, "consumer not ready"},
    ErrorInfo{0x03EF, not_ready, "rebalance running"},
    ErrorInfo{0x040A, not_ready, "management node not found"},
    ErrorInfo{0x0503, not_ready, "vnode moved or missing"},
    ErrorInfo{0x0520, not_ready, "vgroup does not exist"},
    ErrorInfo{0x0522, not_ready, "table hash does not match the vgroup"},
    ErrorInfo{0x0528, not_ready, "vnode has no buffer pool"},
    ErrorInfo{0x0529, not_ready, "vnode stopped"},
    ErrorInfo{0x0530, already_done, "duplicate write request"},
    ErrorInfo{0x0531, not_ready, "vnode query busy"},
    ErrorInfo{0x0538, fatal, "writing to the vnode is disabled"},
    ErrorInfo{0x0541, not_ready, "vnode offline"},
    ErrorInfo{0x0600, stale_schema, "invalid table id"},
    ErrorInfo{0x0603, data, "table already exists"},
    ErrorInfo{0x060B, data, "timestamp outside the database's KEEP range"},
    ErrorInfo{0x0618, stale_schema, "table does not exist"},
    ErrorInfo{0x061B, stale_schema, "table schema is old"},
    ErrorInfo{0x061D, data, "child table exists in another super table"},
    ErrorInfo{0x0707, not_ready, "query handle not ready"},
    ErrorInfo{0x070B, pressure, "not enough query buffer"},
    ErrorInfo{0x070F, data, "invalid input"},
    ErrorInfo{0x0739, pressure, "query memory threshold reached"},
    ErrorInfo{0x073A, pressure, "query memory exhausted"},
    ErrorInfo{0x073B, usage, "result fetched too slowly and lost"},
    ErrorInfo{0x073D, pressure, "query memory pool too small"},
    ErrorInfo{0x0903, not_ready, "replication timeout"},
    ErrorInfo{0x090C, not_ready, "node is not the leader"},
    ErrorInfo{0x0911, not_ready, "replication proposal not ready"},
    ErrorInfo{0x0914, not_ready, "replication is restoring"},
    ErrorInfo{0x0916, not_ready, "replication buffer full"},
    ErrorInfo{0x0917, not_ready, "writes are stalled"},
    ErrorInfo{0x0918, not_ready, "replication negotiation window full"},
    ErrorInfo{0x091E, not_ready, "replication returned no value"},
    ErrorInfo{0x0922, not_ready, "lock not obtained"},
    ErrorInfo{0x09FF, not_ready, "replication internal error"},
    ErrorInfo{0x2504, not_ready, "query scheduler timeout"},
    ErrorInfo{0x2507, not_ready, "data source endpoint missing"},
    ErrorInfo{0x2600, usage, "syntax error"},
    ErrorInfo{0x2601, usage, "incomplete SQL statement"},
    ErrorInfo{0x2602, stale_schema, "invalid column name"},
    ErrorInfo{0x2603, stale_schema, "table does not exist"},
    ErrorInfo{0x2616, fatal, "database not specified"},
    ErrorInfo{0x2617, data, "invalid identifier name"},
    ErrorInfo{0x263B, usage, "fill range too large"},
    ErrorInfo{0x263C, data, "duplicated column names"},
    ErrorInfo{0x263D, data, "tags too long"},
    ErrorInfo{0x263E, data, "row too long"},
    ErrorInfo{0x263F, stale_schema, "illegal number of columns"},
    ErrorInfo{0x2640, data, "too many columns"},
    ErrorInfo{0x2642, data, "invalid length of a variable-length column or tag"},
    ErrorInfo{0x2643, data, "invalid number of tag columns"},
    ErrorInfo{0x2644, fatal, "permission denied or target object does not exist"},
    ErrorInfo{0x2653, stale_schema, "value too long for column or tag"},
    ErrorInfo{0x266A, data, "invalid varbinary value"},
    ErrorInfo{0x267B, data, "primary key column must not be NULL"},
    ErrorInfo{0x267C, data, "primary key column must be given"},
    ErrorInfo{0x267D, usage, "table name column missing"},
    ErrorInfo{0x267E, usage, "table name column given twice"},
    ErrorInfo{0x2803, data, "invalid parameter value of a function"},
    ErrorInfo{0x3000, usage, "invalid line protocol type"},
    ErrorInfo{0x3001, usage, "invalid timestamp precision"},
    ErrorInfo{0x3002, data, "invalid data format"},
    ErrorInfo{0x3003, fatal, "invalid schemaless configuration of the database"},
    ErrorInfo{0x3004, data, "not the same type as before"},
    ErrorInfo{0x3005, data, "schemaless internal error"},
    ErrorInfo{0x3006, data, "cannot insert into a table with a composite key"},
    ErrorInfo{0x4001, usage, "consumer mismatch"},
    ErrorInfo{0x4002, usage, "consumer closed"},
    ErrorInfo{0x4003, usage, "consumer error"},
    ErrorInfo{0x4007, usage, "offset out of range"},
    ErrorInfo{0x4008, usage, "vgroup does not belong to this consumer"},
    ErrorInfo{0x4009, usage, "topic does not belong to this consumer"},
    ErrorInfo{0x4010, usage, "consumer not initialized"},
    ErrorInfo{0x4011, usage, "nothing committed"},
    ErrorInfo{0x4012, usage, "same offset committed before"},
    ErrorInfo{0x4017, usage, "invalid status of the consumer"},
    ErrorInfo{0x6205, usage, "virtual table in a statement"},
    ErrorInfo{0x6301, usage, "BLOB as a tag"},
    ErrorInfo{0x6305, usage, "BLOB is not supported here"},
    ErrorInfo{0xFFFD, usage, "SQL forbidden by the administrator"},
    ErrorInfo{0xFFFE, pressure, "the adapter's request limiter refused"},
    ErrorInfo{0xFFFF, usage, "adapter error"},
};
static_assert(std::is_sorted(kErrors.begin(), kErrors.end(),
                             [](const ErrorInfo& a, const ErrorInfo& b) { return a.code < b.code; }));

ErrorClass classify_adapter_text(std::string_view message) noexcept {
  for (const std::string_view lost : {"result is nil", "result has been freed", "stmt is nil", "stmt2 is nil"})
    if (message.find(lost) != std::string_view::npos) return lost_state;
  if (message.find("server not connected") != std::string_view::npos) return reconnect;
  if (message.find("memory exceeds threshold") != std::string_view::npos ||
      message.find("get connection timeout") != std::string_view::npos ||
      message.find("request wait ") != std::string_view::npos ||  // the limiter: "queue is full", "timeout"
      message.find("connection pool max wait") != std::string_view::npos)
    return pressure;
  if (message.find("whitelist") != std::string_view::npos) return fatal;
  return usage;
}

}  // namespace

const ErrorInfo* find_error(std::int32_t code) noexcept {
  code &= 0xFFFF;
  const auto* const found =
      std::lower_bound(kErrors.begin(), kErrors.end(), code,
                       [](const ErrorInfo& info, std::int32_t wanted) { return info.code < wanted; });
  return found != kErrors.end() && found->code == code ? found : nullptr;
}

ErrorClass classify(std::int32_t code, std::string_view message) noexcept {
  code &= 0xFFFF;
  if (code == 0) return none;
  if (code == kAdapterError) return classify_adapter_text(message);
  if (const auto* const info = find_error(code)) return info->kind;
  if (code <= 0x00FF || (code >= 0xE000 && code <= 0xE0FF))
    return reconnect;                                  // the engine's RPC; client-side transport
  if (code >= 0x0350 && code <= 0x035F) return fatal;  // users
  if (code >= 0x0800 && code <= 0x08FF) return fatal;  // licence
  return data;
}

std::string_view error_text(std::int32_t code, std::string_view message) noexcept {
  if (!message.empty() && message != "success") return message;
  const auto* const info = find_error(code);
  return info != nullptr ? info->text : std::string_view("no text from the server");
}

}  // namespace penstock::wire
