#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

/// A client library of release 3.3.4 without a server, as far as a connection and a schemaless insert go: it has
/// statements with fields of another form, and not the youngest schemaless functions. PENSTOCK_NATIVE_STUB makes it
/// fail at its start.
namespace {

bool asked_for(std::string_view failure) {
  const char* const given = std::getenv("PENSTOCK_NATIVE_STUB");
  return given != nullptr && failure == given;
}

int handle;
std::int64_t request;

}  // namespace

extern "C" {

#define STUB __attribute__((visibility("default")))

STUB int taos_options(int option, const void*, ...) {
  constexpr int kConfigDirectory = 3;
  constexpr int kDriver = 6;
  return option == kDriver || (option == kConfigDirectory && asked_for("config")) ? -1 : 0;
}
STUB int taos_init() { return asked_for("init") ? -1 : 0; }
STUB const char* taos_get_client_info() { return "3.3.4.8"; }
STUB void* taos_connect(const char*, const char*, const char*, const char*, std::uint16_t) { return &handle; }
STUB void taos_close(void*) {}
STUB const char* taos_get_server_info(void*) { return "ver:3.3.4.8"; }
STUB int taos_get_current_db(void*, char* name, int length, int* needed) {
  constexpr std::string_view kName = "a_name_that_is_longer_than_any_database_may_be_called_in_this_release_of_it";
  *needed = static_cast<int>(kName.size()) + 1;
  if (length < *needed) return -1;
  std::memcpy(name, kName.data(), kName.size());
  name[kName.size()] = '\0';
  return 0;
}
STUB void* taos_query_with_reqid(void*, const char*, std::int64_t) { return nullptr; }
STUB int taos_errno(void* result) { return result == nullptr ? static_cast<int>(0x80000102) : 0; }
STUB const char* taos_errstr(void*) { return "Out of Memory"; }
STUB void taos_free_result(void*) {}
STUB int taos_field_count(void*) { return 0; }
STUB void* taos_fetch_fields(void*) { return nullptr; }
STUB int taos_result_precision(void*) { return 0; }
/// The low digits of the request that made it, so that tests see which function was called with what.
STUB int taos_affected_rows(void*) { return static_cast<int>(request); }
STUB int taos_fetch_raw_block(void*, int*, void**) { return 0; }
STUB void* taos_schemaless_insert_raw_with_reqid(void*, char*, int length, std::int32_t* total, int, int,
                                                 std::int64_t id) {
  request = id;
  *total = length;
  return &handle;
}
STUB void* taos_stmt2_init(void*, void*) { return &handle; }
STUB int taos_stmt2_prepare(void*, const char*, unsigned long) { return 0; }
STUB int taos_stmt2_is_insert(void*, int*) { return 0; }
STUB int taos_stmt2_get_fields(void*, int, int*, void**) { std::abort(); }
STUB void taos_stmt2_free_fields(void*, void*) {}
STUB int taos_stmt2_bind_param(void*, void*, std::int32_t) { return 0; }
STUB int taos_stmt2_exec(void*, int*) { return 0; }
STUB void* taos_stmt2_result(void*) { return nullptr; }
STUB char* taos_stmt2_error(void*) { return nullptr; }
STUB int taos_stmt2_close(void*) { return 0; }
}
