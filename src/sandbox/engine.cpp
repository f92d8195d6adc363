#include "sandbox/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "sandbox/insert_prepared.h"
#include "sandbox/insert_schemaless.h"
#include "sandbox/select_scan.h"
#include "sandbox/sql_session.h"
#include "sandbox/store.h"
#include "sandbox/subscription_hub.h"

namespace penstock::sandbox {
namespace {

constexpr std::string_view kSuffix = ".sandbox";

/// A database's name as a file name: other bytes than lower-case letters, digits and '_' as %XX.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}
std::string name_of_file(std::string_view file) {
  std::string out;
  for (std::size_t i = 0; i < file.size(); ++i) {
    if (file[i] == '%' && i + 2 < file.size()) {
      out += static_cast<char>(std::strtol(std::string(file.substr(i + 1, 2)).c_str(), nullptr, 16));
      i += 2;
    } else {
      out += file[i];
    }
  }
  return out;
}

/// Words that begin statements that change nothing here, or that the sandbox lacks.
Answer run_rest(SessionContext& context, Cursor& in, const std::string& verb) {
  const auto database_exists = [&] {
    const auto name = in.identifier(data::Limits::database_name);
    if (!context.instance->find(name)) refuse(0x0388, "Database not exist");
  };
  if (verb == "flush" || verb == "trim" || verb == "compact") {
    in.expect("database");
    database_exists();
    if (verb == "compact") refuse(0x0100, "Operation not supported");
    return {};
  }
  if (verb == "reset") {
    in.expect("query");
    in.expect("cache");
    in.finish();
    return {};
  }
  if (verb == "balance") return {};
  if (verb == "kill") {
    const auto kind = in.take();
    if (in.at_end()) in.syntax_error();
    if (kind.is("query")) refuse(0x030C, "Invalid query id");
    if (kind.is("connection")) refuse(0x030E, "Invalid connection id");
    if (kind.is("transaction")) refuse(0x03D1, "Transaction not exists");
  }
  if (verb == "explain" || verb == "grant" || verb == "revoke" || verb == "merge" || verb == "kill") {
    if (in.at_end()) in.syntax_error();
    unsupported(verb);
  }
  refuse(0x2600, fmt::format("syntax error near \"{}\"", in.sql().substr(in.sql().find_first_not_of(" \t\r\n"))));
}

class SessionImpl final : public Session {
 public:
  explicit SessionImpl(SessionContext context) : context_(std::move(context)) {}

  Answer execute(std::string_view sql) override {
    if (sql.size() > data::Limits::sql) refuse(0x0219, "SQL statement too long");
    return guarded([&] { return dispatch(sql); });
  }
  [[nodiscard]] std::string current_database() const override { return context_.database; }
  void set_time_zone(std::string_view name) override { context_.zone = TimeZone::find(name); }

  std::shared_ptr<Prepared> prepare(std::string_view sql) override {
    return guarded([&] { return Prepared::make(context_, sql); });
  }
  [[nodiscard]] bool is_insert(const Prepared& prepared) const override { return prepared.is_insert; }
  [[nodiscard]] std::span<const PreparedField> fields(const Prepared& prepared) const override {
    return prepared.fields;
  }
  [[nodiscard]] std::size_t parameter_count(const Prepared& prepared) const override { return prepared.parameters; }
  void check(const Prepared& prepared, std::span<const BoundTable> tables) override {
    guarded([&] { BoundInsert(context_, prepared).check(tables); });
  }
  std::int64_t insert(const Prepared& prepared, std::span<const BoundTable> tables) override {
    return guarded([&] { return BoundInsert(context_, prepared).store(tables); });
  }
  void check_columns(const Prepared& prepared, std::span<const ColumnarTable> tables) override {
    guarded([&] { BoundInsert(context_, prepared).check(tables); });
  }
  std::int64_t insert_columns(const Prepared& prepared, std::span<const ColumnarTable> tables) override {
    return guarded([&] { return BoundInsert(context_, prepared).store(tables); });
  }
  Answer query(const Prepared& prepared, std::span<const Value> parameters) override {
    return guarded([&] {
      std::vector<Datum> values;
      for (const auto& parameter : parameters) {
        TypeInfo type;
        type.type = parameter.type;
        if (type.type == data::Type::null && parameter.state == Value::State::value) {
          type.type = parameter.text.empty() ? data::Type::bigint : data::Type::varchar;
        }
        values.push_back(datum_of(parameter, type));
      }
      if (values.size() < prepared.parameters) refuse(0x0236, "bind number out of range or not match");
      Cursor in(prepared.sql);
      in.take();
      std::size_t count = 0;
      const auto select = parse_select(in, &count);
      in.finish();
      return run_select(context_, *select, values);
    });
  }

  std::int64_t insert_schemaless(int protocol, int precision, std::string_view payload, int ttl_days,
                                 std::string_view table_name_key, std::int32_t& total_lines) override {
    return guarded(
        [&] { return run_schemaless(context_, protocol, precision, payload, ttl_days, table_name_key, total_lines); });
  }

 private:
  /// A full disk or a damaged file is told as the server tells it, not by ending the connection.
  template <class Work>
  static auto guarded(Work work) -> decltype(work()) {
    try {
      return work();
    } catch (const Error& e) {
      throw RefusalError(0x0110, e.what());
    } catch (const std::bad_alloc&) {
      throw RefusalError(0x0102, "Out of Memory");
    }
  }

  Answer dispatch(std::string_view sql) {
    if (is_insert_values(sql)) return run_insert(context_, sql);
    Cursor in(sql);
    if (in.peek().kind != Token::Kind::word) in.syntax_error();
    const auto verb = in.peek().name;
    if (verb == "select") {
      in.take();
      const auto select = parse_select(in, nullptr);
      in.finish();
      return run_select(context_, *select);
    }
    const Cursor begin = in;
    in.take();
    if (verb == "insert" || verb == "import") return run_insert_select(context_, in);
    if (verb == "create") return create(in);
    if (verb == "alter") return alter(in);
    if (verb == "drop") {
      if (in.at_end()) in.syntax_error();
      return run_drop(context_, in);
    }
    if (verb == "show") return run_show(context_, in);
    if (verb == "describe" || verb == "desc") return run_describe(context_, in);
    if (verb == "delete") return run_delete(context_, in);
    if (verb == "use") {
      const auto name = in.identifier(data::Limits::database_name);
      in.finish();
      if (!is_system_database(name) && !context_.instance->find(name)) refuse(0x0388, "Database not exist");
      context_.database = name;
      return {};
    }
    for (const auto word :
         {"flush", "trim", "compact", "reset", "balance", "kill", "explain", "grant", "revoke", "merge"}) {
      if (verb == word) return run_rest(context_, in, verb);
    }
    begin.syntax_error();
  }

  Answer create(Cursor& in) {
    if (in.accept("database")) return run_create_database(context_, in);
    if (in.accept("stable")) return run_create_table(context_, in, true);
    if (in.accept("table")) return run_create_table(context_, in, false);
    if (in.accept("topic")) return run_create_topic(context_, in);
    if (in.accept("user")) {
      const auto name = in.identifier(24);
      in.expect("pass");
      const auto password = in.string_literal();
      if (password.size() < 8) refuse(0x2611, "Password too short or empty");
      const std::lock_guard lock(context_.instance->users_mutex);
      if (!context_.instance->users.emplace(name, password).second) refuse(0x0350, "User already exists");
      return {};
    }
    for (const auto word : {"index", "function", "view", "stream", "tsma", "or", "aggregate", "dnode", "vtable"}) {
      if (!in.accept(word)) continue;
      if (std::string_view(word) == "view") refuse(0x0100, "Operation not supported");
      for (int i = 0; i < 3; ++i) {
        if (in.at_end()) in.syntax_error();
        in.take();
      }
      unsupported(fmt::format("CREATE {}", word));
    }
    in.syntax_error();
  }

  Answer alter(Cursor& in) {
    if (in.accept("database")) return run_alter_database(context_, in);
    if (in.accept("stable")) return run_alter_table(context_, in, true);
    if (in.accept("table")) return run_alter_table(context_, in, false);
    if (in.accept("local")) {
      const auto name = in.string_literal();
      const auto value = in.peek().kind == Token::Kind::string ? in.string_literal() : std::string();
      in.finish();
      if (name == "timezone") context_.zone = TimeZone::find(value);
      else context_.instance->set_naming(name, value);
      return {};
    }
    if (in.accept("user")) {
      const auto name = in.identifier(24);
      in.expect("pass");
      const auto password = in.string_literal();
      if (password.size() < 8) refuse(0x2611, "Password too short or empty");
      const std::lock_guard lock(context_.instance->users_mutex);
      const auto user = context_.instance->users.find(name);
      if (user == context_.instance->users.end()) refuse(0x0351, "Invalid user");
      user->second = password;
      return {};
    }
    if (in.accept("all") || in.accept("dnode")) return {};
    in.syntax_error();
  }

  SessionContext context_;
};

class EngineImpl final : public Engine {
 public:
  explicit EngineImpl(const Options& options) : instance_(std::make_shared<Instance>(options)) {
    SessionContext context;
    context.instance = instance_;
    context.zone = TimeZone::find("");
    for (const auto& database : instance_->all()) instance_->subscriptions->load(context, database);
  }

  std::unique_ptr<Session> login(std::string_view user, std::string_view password, std::string_view database) override {
    {
      const std::lock_guard lock(instance_->users_mutex);
      const auto found = instance_->users.find(user);
      if (found == instance_->users.end()) refuse(0x0351, "Invalid user");
      if (found->second != password) refuse(0x0357, "Authentication failure");
    }
    if (!database.empty() && !is_system_database(database) && !instance_->find(database)) {
      refuse(0x0388, "Database not exist");
    }
    SessionContext context;
    context.instance = instance_;
    context.user = user;
    context.database = database;
    context.zone = TimeZone::find("");
    return std::make_unique<SessionImpl>(std::move(context));
  }

  std::unique_ptr<Consumer> consumer(const ConsumerOptions& options) override {
    return make_consumer(instance_, options);
  }

 private:
  std::shared_ptr<Instance> instance_;
};

}  // namespace

std::unique_ptr<Engine> Engine::open(const Options& options) { return std::make_unique<EngineImpl>(options); }

// --- Instance ---

Instance::~Instance() = default;

Instance::Instance(Engine::Options options)
    : subscriptions(std::make_unique<Subscriptions>(std::make_shared<ChangeSignal>())),
      directory_(std::move(options.directory)),
      rows_(options.discard_rows ? Store::Rows::discarded : Store::Rows::kept) {
  users.emplace(options.user, options.password);
  if (directory_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) {
    throw Error(Errc::io,
                fmt::format("cannot make the sandbox's directory '{}': {}", directory_.string(), error.message()));
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (entry.path().extension() != kSuffix) continue;
    const auto name = name_of_file(entry.path().stem().string());
    auto database = std::make_shared<Database>(name, std::make_unique<Store>(entry.path(), rows_));
    if (database->options.values.empty()) continue;  // was never finished
    number_vgroups(*database);
    databases_.emplace(name, std::move(database));
  }
  if (error) {
    throw Error(Errc::io,
                fmt::format("cannot read the sandbox's directory '{}': {}", directory_.string(), error.message()));
  }
}

std::filesystem::path Instance::file_of(std::string_view name) const {
  return directory_.empty() ? std::filesystem::path() : directory_ / (file_name(name) + std::string(kSuffix));
}

schema::NamingRules Instance::naming() const {
  const std::shared_lock lock(mutex_);
  return naming_;
}

bool Instance::set_naming(std::string_view name, std::string_view value) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const std::unique_lock lock(mutex_);
  if (lower == "smldot2underline") {
    if (value != "0" && value != "1") refuse(0x0118, "Invalid parameters");
    naming_.dot_to_underscore = value == "1";
    return true;
  }
  std::string* const setting = lower == "smlchildtablename"                ? &naming_.child_table_tag
                               : lower == "smlautochildtablenamedelimiter" ? &naming_.child_table_delimiter
                               : lower == "smltagname"                     ? &naming_.default_tag
                               : lower == "smltsdefaultname"               ? &naming_.timestamp_name
                                                                           : nullptr;
  if (setting == nullptr) return false;
  *setting = value;
  return true;
}

std::shared_ptr<Database> Instance::find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = databases_.find(name);
  return found == databases_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Database>> Instance::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Database>> list;
  for (const auto& [name, database] : databases_) list.push_back(database);
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a->created < b->created; });
  return list;
}

void Instance::create(const std::string& name, const DatabaseOptions& options) {
  const std::unique_lock lock(mutex_);
  if (databases_.contains(name)) refuse(0x0381, "Database already exists");
  auto database = std::make_shared<Database>(name, std::make_unique<Store>(file_of(name), rows_));
  database->options = options;
  database->created = now_in(options.precision);
  database->save_options();
  number_vgroups(*database);
  databases_.emplace(name, std::move(database));
}

void Instance::number_vgroups(Database& database) {
  const auto option = database.options.values.find("VGROUPS");
  const int count = option == database.options.values.end() ? 1 : std::atoi(option->second.c_str());
  for (int i = 0; i < std::max(count, 1); ++i) database.vgroups.push_back(++last_vgroup_);
}

bool Instance::drop(std::string_view name) {
  std::shared_ptr<Database> database;
  {
    const std::unique_lock lock(mutex_);
    const auto found = databases_.find(name);
    if (found == databases_.end()) return false;
    database = found->second;
    databases_.erase(found);
    // The file goes while no new database of that name can be made.
    const std::lock_guard inner(database->mutex);
    database->dropped = true;
    const auto file = database->store->file();
    database->store.reset();
    if (!file.empty()) {
      std::error_code ignored;
      for (const auto suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + suffix, ignored);
    }
  }
  return true;
}

LockedDatabase open_database(const SessionContext& context, std::string_view name) {
  const std::string_view wanted = name.empty() ? std::string_view(context.database) : name;
  if (wanted.empty()) refuse(0x2616, "Database not specified");
  if (is_system_database(wanted)) unsupported(fmt::format("this statement on {}", wanted));
  auto database = context.instance->find(wanted);
  if (!database) refuse(0x0388, "Database not exist");
  LockedDatabase locked(std::move(database));
  if (locked->dropped) refuse(0x0388, "Database not exist");
  return locked;
}

Answer run_insert_select(SessionContext& context, Cursor& in) {
  in.expect("into");
  const auto name = parse_table_name(in);
  std::vector<std::string> names;
  if (in.accept("(")) {
    do names.push_back(in.accept("tbname") ? "tbname" : in.identifier());
    while (in.accept(","));
    in.expect(")");
  }
  in.expect("select");
  const auto select = parse_select(in, nullptr);
  in.finish();
  const auto result = run_select(context, *select);
  const auto db = open_database(context, name.database);
  const auto found = db->find(name.table);
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  if (found.child == nullptr) unsupported("INSERT … SELECT into a super table");
  RowBatch batch;
  batch.table = name.table;
  for (std::size_t i = 0; names.empty() && i < found.table->columns.size(); ++i)
    batch.columns.push_back(static_cast<int>(i));
  for (const auto& n : names) {
    batch.columns.push_back(found.table->column(n));
    if (batch.columns.back() < 0) refuse(0x2602, fmt::format("Invalid column name: {}", n));
  }
  if (batch.columns.size() != result.fields.size()) refuse(0x263F, "Illegal number of columns");
  for (const auto& row : result.rows) {
    std::vector<Value> cells;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto& field = result.fields[i];
      const TypeInfo from{field.type, field.length, field.precision, field.scale};
      const auto& column = found.table->columns[static_cast<std::size_t>(batch.columns[i])].column;
      cells.push_back(value_of(datum_of(row[i], from), type_info(column)));
    }
    batch.rows.push_back(std::move(cells));
  }
  std::vector<RowBatch> batches;
  batches.push_back(std::move(batch));
  Answer answer;
  answer.affected_rows = store_batches(*db, batches, EqualRows::last_value);
  return answer;
}

}  // namespace penstock::sandbox
