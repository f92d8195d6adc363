#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "client/detail/native_abi.h"
#include "client/detail/server_version.h"
#include "client/dsn.h"

namespace penstock::client::detail {

/// Functions that every operation needs; the release that brought the youngest of them is 3.0.2.
/// X(member, symbol, result, (arguments))
#define PENSTOCK_NATIVE_NEEDED(X)                                                                              \
  X(options, taos_options, int, (int, const void*, ...))                                                       \
  X(init, taos_init, int, ())                                                                                  \
  X(client_info, taos_get_client_info, const char*, ())                                                        \
  X(connect, taos_connect, native::Taos*, (const char*, const char*, const char*, const char*, std::uint16_t)) \
  X(close, taos_close, void, (native::Taos*))                                                                  \
  X(server_info, taos_get_server_info, const char*, (native::Taos*))                                           \
  X(current_db, taos_get_current_db, int, (native::Taos*, char*, int, int*))                                   \
  X(query, taos_query_with_reqid, native::Res*, (native::Taos*, const char*, std::int64_t))                    \
  X(error_code, taos_errno, int, (native::Res*))                                                               \
  X(error_text, taos_errstr, const char*, (native::Res*))                                                      \
  X(free_result, taos_free_result, void, (native::Res*))                                                       \
  X(field_count, taos_field_count, int, (native::Res*))                                                        \
  X(fields, taos_fetch_fields, native::FieldPlain*, (native::Res*))                                            \
  X(result_precision, taos_result_precision, int, (native::Res*))                                              \
  X(affected_rows, taos_affected_rows, int, (native::Res*))                                                    \
  X(fetch_raw_block, taos_fetch_raw_block, int, (native::Res*, int*, void**))

/// Functions that some operations need; nullptr in older client libraries.
#define PENSTOCK_NATIVE_OPTIONAL(X)                                                                                   \
  X(affected_rows64, taos_affected_rows64, std::int64_t, (native::Res*))                                              \
  X(fields_e, taos_fetch_fields_e, native::FieldExtended*, (native::Res*))                                            \
  X(options_connection, taos_options_connection, int, (native::Taos*, int, const void*, ...))                         \
  X(schemaless, taos_schemaless_insert_raw_with_reqid, native::Res*,                                                  \
    (native::Taos*, char*, int, std::int32_t*, int, int, std::int64_t))                                               \
  X(schemaless_ttl, taos_schemaless_insert_raw_ttl_with_reqid, native::Res*,                                          \
    (native::Taos*, char*, int, std::int32_t*, int, int, std::int32_t, std::int64_t))                                 \
  X(schemaless_key, taos_schemaless_insert_raw_ttl_with_reqid_tbname_key, native::Res*,                               \
    (native::Taos*, char*, int, std::int32_t*, int, int, std::int32_t, std::int64_t, char*))                          \
  X(stmt2_init, taos_stmt2_init, native::Stmt2*, (native::Taos*, native::Stmt2Option*))                               \
  X(stmt2_prepare, taos_stmt2_prepare, int, (native::Stmt2*, const char*, unsigned long))                             \
  X(stmt2_is_insert, taos_stmt2_is_insert, int, (native::Stmt2*, int*))                                               \
  X(stmt2_fields, taos_stmt2_get_fields, int, (native::Stmt2*, int*, native::FieldAll**))                             \
  X(stmt2_free_fields, taos_stmt2_free_fields, void, (native::Stmt2*, native::FieldAll*))                             \
  X(stmt2_bind, taos_stmt2_bind_param, int, (native::Stmt2*, native::Stmt2BindTables*, std::int32_t))                 \
  X(stmt2_exec, taos_stmt2_exec, int, (native::Stmt2*, int*))                                                         \
  X(stmt2_result, taos_stmt2_result, native::Res*, (native::Stmt2*))                                                  \
  X(stmt2_error, taos_stmt2_error, char*, (native::Stmt2*))                                                           \
  X(stmt2_close, taos_stmt2_close, int, (native::Stmt2*))                                                             \
  X(tmq_conf_new, tmq_conf_new, native::TmqConf*, ())                                                                 \
  X(tmq_conf_set, tmq_conf_set, int, (native::TmqConf*, const char*, const char*))                                    \
  X(tmq_conf_destroy, tmq_conf_destroy, void, (native::TmqConf*))                                                     \
  X(tmq_list_new, tmq_list_new, native::TmqList*, ())                                                                 \
  X(tmq_list_append, tmq_list_append, std::int32_t, (native::TmqList*, const char*))                                  \
  X(tmq_list_destroy, tmq_list_destroy, void, (native::TmqList*))                                                     \
  X(tmq_consumer_new, tmq_consumer_new, native::Tmq*, (native::TmqConf*, char*, std::int32_t))                        \
  X(tmq_subscribe, tmq_subscribe, std::int32_t, (native::Tmq*, const native::TmqList*))                               \
  X(tmq_unsubscribe, tmq_unsubscribe, std::int32_t, (native::Tmq*))                                                   \
  X(tmq_poll, tmq_consumer_poll, native::Res*, (native::Tmq*, std::int64_t))                                          \
  X(tmq_close, tmq_consumer_close, std::int32_t, (native::Tmq*))                                                      \
  X(tmq_commit, tmq_commit_sync, std::int32_t, (native::Tmq*, const native::Res*))                                    \
  X(tmq_commit_offset, tmq_commit_offset_sync, std::int32_t, (native::Tmq*, const char*, std::int32_t, std::int64_t)) \
  X(tmq_assignment, tmq_get_topic_assignment, std::int32_t,                                                           \
    (native::Tmq*, const char*, native::TopicAssignment**, std::int32_t*))                                            \
  X(tmq_free_assignment, tmq_free_assignment, void, (native::TopicAssignment*))                                       \
  X(tmq_seek, tmq_offset_seek, std::int32_t, (native::Tmq*, const char*, std::int32_t, std::int64_t))                 \
  X(tmq_position, tmq_position, std::int64_t, (native::Tmq*, const char*, std::int32_t))                              \
  X(tmq_committed, tmq_committed, std::int64_t, (native::Tmq*, const char*, std::int32_t))                            \
  X(tmq_result_type, tmq_get_res_type, int, (native::Res*))                                                           \
  X(tmq_topic_name, tmq_get_topic_name, const char*, (native::Res*))                                                  \
  X(tmq_db_name, tmq_get_db_name, const char*, (native::Res*))                                                        \
  X(tmq_table_name, tmq_get_table_name, const char*, (native::Res*))                                                  \
  X(tmq_vgroup, tmq_get_vgroup_id, std::int32_t, (native::Res*))                                                      \
  X(tmq_vgroup_offset, tmq_get_vgroup_offset, std::int64_t, (native::Res*))                                           \
  X(tmq_error_text, tmq_err2str, const char*, (std::int32_t))                                                         \
  X(tmq_json_meta, tmq_get_json_meta, char*, (native::Res*))                                                          \
  X(tmq_free_json_meta, tmq_free_json_meta, void, (char*))                                                            \
  X(tmq_raw, tmq_get_raw, std::int32_t, (native::Res*, native::RawData*))                                             \
  X(tmq_free_raw, tmq_free_raw, void, (native::RawData))

/// TDengine's own client library in this process. Loaded once for each path and never unloaded, for its threads run
/// until the process ends; a program must not fork() after the first connection. Any thread; the functions are as
/// thread-safe as TDengine says: those of one connection from several threads, those of one statement or result from
/// one at a time.
class NativeLibrary {
 public:
  /// The library of Options::library, or libtaos.so where the loader finds it, initialised with the options' config
  /// directory. Throws InterfaceError when there is none, when it is too old, and when it was initialised before with
  /// another config directory.
  static const NativeLibrary& get(const Options& options);

  /// How the loader was asked for it.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Of the client library: "3.3.7.5".
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  [[nodiscard]] bool at_least(const std::array<unsigned, 4>& version) const noexcept;

  /// Throws InterfaceError when the function is missing, which `what` needs.
  template <class F>
  F* need(F* function, std::string_view name, std::string_view what) const {
    if (function == nullptr) missing(name, what);
    return function;
  }
  [[noreturn]] void missing(std::string_view name, std::string_view what) const;

#define PENSTOCK_NATIVE_MEMBER(member, symbol, result, arguments) result(*member) arguments = nullptr;
  PENSTOCK_NATIVE_NEEDED(PENSTOCK_NATIVE_MEMBER)
  PENSTOCK_NATIVE_OPTIONAL(PENSTOCK_NATIVE_MEMBER)
#undef PENSTOCK_NATIVE_MEMBER

 private:
  NativeLibrary() = default;
  void load(const std::string& library);
  void initialise(const std::string& config_directory);

  std::string path_;
  std::string version_;
  std::string config_directory_;
};

/// "3.3.7.5" of "ver:3.3.7.5\nbuild:…" or of "3.3.7.5"; "" when there is no version.
std::string version_of_info(const char* info);

}  // namespace penstock::client::detail
