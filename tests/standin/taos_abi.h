#pragma once

/// TDengine's public C interface as an ABI: our own declarations of what clients find in libtaos.so, for the stand-in
/// that implements it and the tests that load it. Layouts are those of x86-64 and aarch64 Linux.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void TAOS;
typedef void TAOS_RES;
typedef void TAOS_STMT;
typedef void TAOS_STMT2;
typedef void** TAOS_ROW;
typedef struct tmq_t tmq_t;
typedef struct tmq_conf_t tmq_conf_t;
typedef struct tmq_list_t tmq_list_t;

enum TSDB_OPTION {
  TSDB_OPTION_LOCALE = 0,
  TSDB_OPTION_CHARSET = 1,
  TSDB_OPTION_TIMEZONE = 2,
  TSDB_OPTION_CONFIGDIR = 3,
  TSDB_OPTION_SHELL_ACTIVITY_TIMER = 4,
  TSDB_OPTION_USE_ADAPTER = 5,
  TSDB_OPTION_DRIVER = 6,
};

enum TSDB_OPTION_CONNECTION {
  TSDB_OPTION_CONNECTION_CLEAR = -1,
  TSDB_OPTION_CONNECTION_CHARSET = 0,
  TSDB_OPTION_CONNECTION_TIMEZONE = 1,
  TSDB_OPTION_CONNECTION_USER_IP = 2,
  TSDB_OPTION_CONNECTION_USER_APP = 3,
};

enum TAOS_FIELD_T { TAOS_FIELD_COL = 1, TAOS_FIELD_TAG = 2, TAOS_FIELD_QUERY = 3, TAOS_FIELD_TBNAME = 4 };

enum tmq_conf_res_t { TMQ_CONF_UNKNOWN = -2, TMQ_CONF_INVALID = -1, TMQ_CONF_OK = 0 };
enum tmq_res_t {
  TMQ_RES_INVALID = -1,
  TMQ_RES_DATA = 1,
  TMQ_RES_TABLE_META = 2,
  TMQ_RES_METADATA = 3,
  TMQ_RES_RAWDATA = 4,
};

typedef struct TAOS_FIELD {
  char name[65];
  int8_t type;
  int32_t bytes;
} TAOS_FIELD;

typedef struct TAOS_FIELD_E {
  char name[65];
  int8_t type;
  uint8_t precision;
  uint8_t scale;
  int32_t bytes;
} TAOS_FIELD_E;

typedef struct TAOS_FIELD_ALL {
  char name[65];
  int8_t type;
  uint8_t precision;
  uint8_t scale;
  int32_t bytes;
  uint8_t field_type;
} TAOS_FIELD_ALL;

typedef struct TAOS_MULTI_BIND {
  int buffer_type;
  void* buffer;
  uintptr_t buffer_length;
  int32_t* length;
  char* is_null;
  int num;
} TAOS_MULTI_BIND;

typedef struct TAOS_STMT_OPTIONS {
  int64_t reqId;
  bool singleStbInsert;
  bool singleTableBindOnce;
} TAOS_STMT_OPTIONS;

typedef void (*taos_async_fn)(void* param, TAOS_RES* result, int code);
typedef void (*taos_notify_fn)(void* param, void* ext, int type);

typedef struct TAOS_STMT2_OPTION {
  int64_t reqid;
  bool singleStbInsert;
  bool singleTableBindOnce;
  taos_async_fn asyncExecFn;
  void* userdata;
} TAOS_STMT2_OPTION;

typedef struct TAOS_STMT2_BIND {
  int buffer_type;
  void* buffer;
  int32_t* length;
  char* is_null;
  int num;
} TAOS_STMT2_BIND;

typedef struct TAOS_STMT2_BINDV {
  int count;
  char** tbnames;
  TAOS_STMT2_BIND** tags;
  TAOS_STMT2_BIND** bind_cols;
} TAOS_STMT2_BINDV;

typedef struct TAOS_VGROUP_HASH_INFO {
  int32_t vgId;
  uint32_t hashBegin;
  uint32_t hashEnd;
} TAOS_VGROUP_HASH_INFO;

typedef struct TAOS_DB_ROUTE_INFO {
  int32_t routeVersion;
  int16_t hashPrefix;
  int16_t hashSuffix;
  int8_t hashMethod;
  int32_t vgNum;
  TAOS_VGROUP_HASH_INFO* vgHash;
} TAOS_DB_ROUTE_INFO;

typedef struct tmq_topic_assignment {
  int32_t vgId;
  int64_t currentOffset;
  int64_t begin;
  int64_t end;
} tmq_topic_assignment;

typedef struct tmq_raw_data {
  void* raw;
  uint32_t raw_len;
  uint16_t raw_type;
} tmq_raw_data;

typedef void (*tmq_commit_cb)(tmq_t* consumer, int32_t code, void* param);

#define STANDIN_API __attribute__((visibility("default")))

/* The library and connections */
STANDIN_API int taos_init(void);
STANDIN_API void taos_cleanup(void);
STANDIN_API int taos_options(int option, const void* arg, ...);
STANDIN_API int taos_options_connection(TAOS* taos, int option, const void* arg, ...);
STANDIN_API TAOS* taos_connect(const char* ip, const char* user, const char* pass, const char* db, uint16_t port);
STANDIN_API TAOS* taos_connect_auth(const char* ip, const char* user, const char* auth, const char* db, uint16_t port);
STANDIN_API void taos_close(TAOS* taos);
STANDIN_API const char* taos_get_server_info(TAOS* taos);
STANDIN_API const char* taos_get_client_info(void);
STANDIN_API int taos_select_db(TAOS* taos, const char* db);
STANDIN_API void taos_reset_current_db(TAOS* taos);
STANDIN_API int taos_get_current_db(TAOS* taos, char* database, int len, int* required);
STANDIN_API int taos_load_table_info(TAOS* taos, const char* names);
STANDIN_API int taos_get_db_route_info(TAOS* taos, const char* db, TAOS_DB_ROUTE_INFO* info);
STANDIN_API int taos_get_table_vgId(TAOS* taos, const char* db, const char* table, int* vgroup);
STANDIN_API int taos_get_tables_vgId(TAOS* taos, const char* db, const char* tables[], int count, int* vgroups);
STANDIN_API int taos_set_notify_cb(TAOS* taos, taos_notify_fn notify, void* param, int type);
STANDIN_API int taos_set_conn_mode(TAOS* taos, int mode, int value);
STANDIN_API void taos_set_hb_quit(int8_t quit);
STANDIN_API int taos_check_server_status(const char* fqdn, int port, char* details, int maxlen);

/* Queries and results */
STANDIN_API TAOS_RES* taos_query(TAOS* taos, const char* sql);
STANDIN_API TAOS_RES* taos_query_with_reqid(TAOS* taos, const char* sql, int64_t reqid);
STANDIN_API void taos_query_a(TAOS* taos, const char* sql, taos_async_fn done, void* param);
STANDIN_API void taos_query_a_with_reqid(TAOS* taos, const char* sql, taos_async_fn done, void* param, int64_t reqid);
STANDIN_API int taos_validate_sql(TAOS* taos, const char* sql);
STANDIN_API void taos_kill_query(TAOS* taos);
STANDIN_API int taos_errno(TAOS_RES* res);
STANDIN_API const char* taos_errstr(TAOS_RES* res);
STANDIN_API void taos_free_result(TAOS_RES* res);
STANDIN_API void taos_stop_query(TAOS_RES* res);
STANDIN_API int taos_field_count(TAOS_RES* res);
STANDIN_API int taos_num_fields(TAOS_RES* res);
STANDIN_API TAOS_FIELD* taos_fetch_fields(TAOS_RES* res);
STANDIN_API TAOS_FIELD_E* taos_fetch_fields_e(TAOS_RES* res);
STANDIN_API int taos_result_precision(TAOS_RES* res);
STANDIN_API int taos_affected_rows(TAOS_RES* res);
STANDIN_API int64_t taos_affected_rows64(TAOS_RES* res);
STANDIN_API bool taos_is_update_query(TAOS_RES* res);
STANDIN_API TAOS_ROW taos_fetch_row(TAOS_RES* res);
STANDIN_API int* taos_fetch_lengths(TAOS_RES* res);
STANDIN_API int taos_fetch_block(TAOS_RES* res, TAOS_ROW* rows);
STANDIN_API int taos_fetch_block_s(TAOS_RES* res, int* count, TAOS_ROW* rows);
STANDIN_API int taos_fetch_raw_block(TAOS_RES* res, int* count, void** data);
STANDIN_API void taos_fetch_rows_a(TAOS_RES* res, taos_async_fn done, void* param);
STANDIN_API void taos_fetch_raw_block_a(TAOS_RES* res, taos_async_fn done, void* param);
STANDIN_API const void* taos_get_raw_block(TAOS_RES* res);
STANDIN_API bool taos_is_null(TAOS_RES* res, int32_t row, int32_t column);
STANDIN_API int taos_is_null_by_column(TAOS_RES* res, int column, bool* result, int* rows);
STANDIN_API int* taos_get_column_data_offset(TAOS_RES* res, int column);
STANDIN_API TAOS_ROW* taos_result_block(TAOS_RES* res);
STANDIN_API int taos_print_row(char* text, TAOS_ROW row, TAOS_FIELD* fields, int count);
STANDIN_API int taos_print_row_with_size(char* text, uint32_t size, TAOS_ROW row, TAOS_FIELD* fields, int count);

/* Schemaless */
STANDIN_API TAOS_RES* taos_schemaless_insert(TAOS* taos, char* lines[], int count, int protocol, int precision);
STANDIN_API TAOS_RES* taos_schemaless_insert_with_reqid(TAOS* taos, char* lines[], int count, int protocol,
                                                        int precision, int64_t reqid);
STANDIN_API TAOS_RES* taos_schemaless_insert_ttl(TAOS* taos, char* lines[], int count, int protocol, int precision,
                                                 int32_t ttl);
STANDIN_API TAOS_RES* taos_schemaless_insert_ttl_with_reqid(TAOS* taos, char* lines[], int count, int protocol,
                                                            int precision, int32_t ttl, int64_t reqid);
STANDIN_API TAOS_RES* taos_schemaless_insert_ttl_with_reqid_tbname_key(TAOS* taos, char* lines[], int count,
                                                                       int protocol, int precision, int32_t ttl,
                                                                       int64_t reqid, char* tbname_key);
STANDIN_API TAOS_RES* taos_schemaless_insert_raw(TAOS* taos, char* lines, int len, int32_t* total_rows, int protocol,
                                                 int precision);
STANDIN_API TAOS_RES* taos_schemaless_insert_raw_with_reqid(TAOS* taos, char* lines, int len, int32_t* total_rows,
                                                            int protocol, int precision, int64_t reqid);
STANDIN_API TAOS_RES* taos_schemaless_insert_raw_ttl(TAOS* taos, char* lines, int len, int32_t* total_rows,
                                                     int protocol, int precision, int32_t ttl);
STANDIN_API TAOS_RES* taos_schemaless_insert_raw_ttl_with_reqid(TAOS* taos, char* lines, int len, int32_t* total_rows,
                                                                int protocol, int precision, int32_t ttl,
                                                                int64_t reqid);
STANDIN_API TAOS_RES* taos_schemaless_insert_raw_ttl_with_reqid_tbname_key(TAOS* taos, char* lines, int len,
                                                                           int32_t* total_rows, int protocol,
                                                                           int precision, int32_t ttl, int64_t reqid,
                                                                           char* tbname_key);

/* Statements, second generation */
STANDIN_API TAOS_STMT2* taos_stmt2_init(TAOS* taos, TAOS_STMT2_OPTION* option);
STANDIN_API int taos_stmt2_prepare(TAOS_STMT2* stmt, const char* sql, unsigned long length);
STANDIN_API int taos_stmt2_get_fields(TAOS_STMT2* stmt, int* count, TAOS_FIELD_ALL** fields);
STANDIN_API void taos_stmt2_free_fields(TAOS_STMT2* stmt, TAOS_FIELD_ALL* fields);
STANDIN_API int taos_stmt2_bind_param(TAOS_STMT2* stmt, TAOS_STMT2_BINDV* bindv, int32_t column);
STANDIN_API int taos_stmt2_bind_param_a(TAOS_STMT2* stmt, TAOS_STMT2_BINDV* bindv, int32_t column, taos_async_fn done,
                                        void* param);
STANDIN_API int taos_stmt2_exec(TAOS_STMT2* stmt, int* affected_rows);
STANDIN_API int taos_stmt2_is_insert(TAOS_STMT2* stmt, int* insert);
STANDIN_API TAOS_RES* taos_stmt2_result(TAOS_STMT2* stmt);
STANDIN_API char* taos_stmt2_error(TAOS_STMT2* stmt);
STANDIN_API int taos_stmt2_close(TAOS_STMT2* stmt);

/* Statements, first generation */
STANDIN_API TAOS_STMT* taos_stmt_init(TAOS* taos);
STANDIN_API TAOS_STMT* taos_stmt_init_with_reqid(TAOS* taos, int64_t reqid);
STANDIN_API TAOS_STMT* taos_stmt_init_with_options(TAOS* taos, TAOS_STMT_OPTIONS* options);
STANDIN_API int taos_stmt_prepare(TAOS_STMT* stmt, const char* sql, unsigned long length);
STANDIN_API int taos_stmt_set_tbname(TAOS_STMT* stmt, const char* name);
STANDIN_API int taos_stmt_set_sub_tbname(TAOS_STMT* stmt, const char* name);
STANDIN_API int taos_stmt_set_tags(TAOS_STMT* stmt, TAOS_MULTI_BIND* tags);
STANDIN_API int taos_stmt_set_tbname_tags(TAOS_STMT* stmt, const char* name, TAOS_MULTI_BIND* tags);
STANDIN_API int taos_stmt_get_tag_fields(TAOS_STMT* stmt, int* count, TAOS_FIELD_E** fields);
STANDIN_API int taos_stmt_get_col_fields(TAOS_STMT* stmt, int* count, TAOS_FIELD_E** fields);
STANDIN_API void taos_stmt_reclaim_fields(TAOS_STMT* stmt, TAOS_FIELD_E* fields);
STANDIN_API int taos_stmt_is_insert(TAOS_STMT* stmt, int* insert);
STANDIN_API int taos_stmt_num_params(TAOS_STMT* stmt, int* count);
STANDIN_API int taos_stmt_get_param(TAOS_STMT* stmt, int index, int* type, int* bytes);
STANDIN_API int taos_stmt_bind_param(TAOS_STMT* stmt, TAOS_MULTI_BIND* row);
STANDIN_API int taos_stmt_bind_param_batch(TAOS_STMT* stmt, TAOS_MULTI_BIND* columns);
STANDIN_API int taos_stmt_bind_single_param_batch(TAOS_STMT* stmt, TAOS_MULTI_BIND* column, int index);
STANDIN_API int taos_stmt_add_batch(TAOS_STMT* stmt);
STANDIN_API int taos_stmt_execute(TAOS_STMT* stmt);
STANDIN_API TAOS_RES* taos_stmt_use_result(TAOS_STMT* stmt);
STANDIN_API char* taos_stmt_errstr(TAOS_STMT* stmt);
STANDIN_API int taos_stmt_affected_rows(TAOS_STMT* stmt);
STANDIN_API int taos_stmt_affected_rows_once(TAOS_STMT* stmt);
STANDIN_API int taos_stmt_close(TAOS_STMT* stmt);

/* Subscriptions */
STANDIN_API tmq_conf_t* tmq_conf_new(void);
STANDIN_API int tmq_conf_set(tmq_conf_t* conf, const char* key, const char* value);
STANDIN_API void tmq_conf_set_auto_commit_cb(tmq_conf_t* conf, tmq_commit_cb done, void* param);
STANDIN_API void tmq_conf_destroy(tmq_conf_t* conf);
STANDIN_API tmq_list_t* tmq_list_new(void);
STANDIN_API int32_t tmq_list_append(tmq_list_t* list, const char* topic);
STANDIN_API int32_t tmq_list_get_size(const tmq_list_t* list);
STANDIN_API char** tmq_list_to_c_array(const tmq_list_t* list);
STANDIN_API void tmq_list_destroy(tmq_list_t* list);
STANDIN_API tmq_t* tmq_consumer_new(tmq_conf_t* conf, char* errstr, int32_t errstr_len);
STANDIN_API int32_t tmq_subscribe(tmq_t* consumer, const tmq_list_t* topics);
STANDIN_API int32_t tmq_unsubscribe(tmq_t* consumer);
STANDIN_API int32_t tmq_subscription(tmq_t* consumer, tmq_list_t** topics);
STANDIN_API TAOS_RES* tmq_consumer_poll(tmq_t* consumer, int64_t timeout_ms);
STANDIN_API int32_t tmq_consumer_close(tmq_t* consumer);
STANDIN_API int32_t tmq_commit_sync(tmq_t* consumer, const TAOS_RES* message);
STANDIN_API void tmq_commit_async(tmq_t* consumer, const TAOS_RES* message, tmq_commit_cb done, void* param);
STANDIN_API int32_t tmq_commit_offset_sync(tmq_t* consumer, const char* topic, int32_t vgroup, int64_t offset);
STANDIN_API void tmq_commit_offset_async(tmq_t* consumer, const char* topic, int32_t vgroup, int64_t offset,
                                         tmq_commit_cb done, void* param);
STANDIN_API int32_t tmq_get_topic_assignment(tmq_t* consumer, const char* topic, tmq_topic_assignment** assignment,
                                             int32_t* count);
STANDIN_API void tmq_free_assignment(tmq_topic_assignment* assignment);
STANDIN_API int32_t tmq_offset_seek(tmq_t* consumer, const char* topic, int32_t vgroup, int64_t offset);
STANDIN_API int64_t tmq_position(tmq_t* consumer, const char* topic, int32_t vgroup);
STANDIN_API int64_t tmq_committed(tmq_t* consumer, const char* topic, int32_t vgroup);
STANDIN_API int tmq_get_res_type(TAOS_RES* message);
STANDIN_API const char* tmq_get_topic_name(TAOS_RES* message);
STANDIN_API const char* tmq_get_db_name(TAOS_RES* message);
STANDIN_API const char* tmq_get_table_name(TAOS_RES* message);
STANDIN_API int32_t tmq_get_vgroup_id(TAOS_RES* message);
STANDIN_API int64_t tmq_get_vgroup_offset(TAOS_RES* message);
STANDIN_API TAOS* tmq_get_connect(tmq_t* consumer);
STANDIN_API const char* tmq_err2str(int32_t code);
STANDIN_API int32_t tmq_get_raw(TAOS_RES* message, tmq_raw_data* raw);
STANDIN_API int32_t tmq_write_raw(TAOS* taos, tmq_raw_data raw);
STANDIN_API void tmq_free_raw(tmq_raw_data raw);
STANDIN_API char* tmq_get_json_meta(TAOS_RES* message);
STANDIN_API void tmq_free_json_meta(char* json);

/* Raw writes */
STANDIN_API int taos_write_raw_block(TAOS* taos, int rows, char* block, const char* table);
STANDIN_API int taos_write_raw_block_with_reqid(TAOS* taos, int rows, char* block, const char* table, int64_t reqid);
STANDIN_API int taos_write_raw_block_with_fields(TAOS* taos, int rows, char* block, const char* table,
                                                 TAOS_FIELD* fields, int count);
STANDIN_API int taos_write_raw_block_with_fields_with_reqid(TAOS* taos, int rows, char* block, const char* table,
                                                            TAOS_FIELD* fields, int count, int64_t reqid);

#ifdef __cplusplus
}  // extern "C"

static_assert(sizeof(TAOS_FIELD) == 72 && offsetof(TAOS_FIELD, type) == 65 && offsetof(TAOS_FIELD, bytes) == 68);
static_assert(sizeof(TAOS_FIELD_E) == 72 && offsetof(TAOS_FIELD_E, precision) == 66 &&
              offsetof(TAOS_FIELD_E, scale) == 67 && offsetof(TAOS_FIELD_E, bytes) == 68);
static_assert(sizeof(TAOS_FIELD_ALL) == 76 && offsetof(TAOS_FIELD_ALL, bytes) == 68 &&
              offsetof(TAOS_FIELD_ALL, field_type) == 72);
static_assert(sizeof(TAOS_MULTI_BIND) == 48 && offsetof(TAOS_MULTI_BIND, buffer_length) == 16 &&
              offsetof(TAOS_MULTI_BIND, is_null) == 32 && offsetof(TAOS_MULTI_BIND, num) == 40);
static_assert(sizeof(TAOS_STMT_OPTIONS) == 16 && offsetof(TAOS_STMT_OPTIONS, singleTableBindOnce) == 9);
static_assert(sizeof(TAOS_STMT2_OPTION) == 32 && offsetof(TAOS_STMT2_OPTION, singleTableBindOnce) == 9 &&
              offsetof(TAOS_STMT2_OPTION, asyncExecFn) == 16 && offsetof(TAOS_STMT2_OPTION, userdata) == 24);
static_assert(sizeof(TAOS_STMT2_BIND) == 40 && offsetof(TAOS_STMT2_BIND, length) == 16 &&
              offsetof(TAOS_STMT2_BIND, is_null) == 24 && offsetof(TAOS_STMT2_BIND, num) == 32);
static_assert(sizeof(TAOS_STMT2_BINDV) == 32 && offsetof(TAOS_STMT2_BINDV, tbnames) == 8 &&
              offsetof(TAOS_STMT2_BINDV, bind_cols) == 24);
static_assert(sizeof(TAOS_VGROUP_HASH_INFO) == 12);
static_assert(sizeof(TAOS_DB_ROUTE_INFO) == 24 && offsetof(TAOS_DB_ROUTE_INFO, hashMethod) == 8 &&
              offsetof(TAOS_DB_ROUTE_INFO, vgNum) == 12 && offsetof(TAOS_DB_ROUTE_INFO, vgHash) == 16);
static_assert(sizeof(tmq_topic_assignment) == 32 && offsetof(tmq_topic_assignment, currentOffset) == 8);
static_assert(sizeof(tmq_raw_data) == 16 && offsetof(tmq_raw_data, raw_type) == 12);
#endif
