#pragma once

#include <cstdint>

/// What tests may tell the stand-in library beside TDengine's interface. Look these up with dlsym() as any other
/// symbol; all may be called from any thread.
///
/// The same from outside, before the first call: PENSTOCK_STANDIN_FAIL="taos_query:0x8000000B:2,…" and
/// PENSTOCK_STANDIN_DELAY="taos_stmt2_exec:50,…"; PENSTOCK_STANDIN_REFUSE="6031,6032" names ports where nothing
/// listens; PENSTOCK_STANDIN_DIRECTORY keeps the data of all servers in one directory instead of in memory.
extern "C" {

#ifndef STANDIN_API
#define STANDIN_API __attribute__((visibility("default")))
#endif

/// The next `times` calls of `function` ("taos_query" …, "*" = any) fail with `code` (all 32 bits, or the low 16) and
/// do nothing. "taos_query:after" lets it do its work and then loses the answer. times 0 takes it back.
STANDIN_API void penstock_standin_fail_next(const char* function, std::int32_t code, std::int32_t times);
/// Each call of `function` waits that long before it begins; 0 takes it back.
STANDIN_API void penstock_standin_delay(const char* function, std::int32_t milliseconds);
/// From now on each call on the connection, its statements, consumers and open results fails with 0x8000000B.
STANDIN_API void penstock_standin_drop_connection(void* taos);
/// The same for every connection that is open; how many that were.
STANDIN_API std::int32_t penstock_standin_drop_all_connections();
/// Whether connects to `port` are refused, as by a port where nothing listens.
STANDIN_API void penstock_standin_refuse_port(std::int32_t port, std::int32_t refuse);
/// Forgets failures, delays, refused ports.
STANDIN_API void penstock_standin_reset_controls();
/// Forgets all servers with their data; connections that are open keep theirs.
STANDIN_API void penstock_standin_forget_servers();

/// Handles (connections, results, statements, consumers …) that were given out and neither closed nor freed.
STANDIN_API std::int64_t penstock_standin_open_handles();
/// Calls so far with a handle that was never given out, was closed before, or is of another kind; results freed that
/// belong to a statement.
STANDIN_API std::int64_t penstock_standin_misuses();
/// Calls of `function` so far.
STANDIN_API std::int64_t penstock_standin_calls(const char* function);
}
