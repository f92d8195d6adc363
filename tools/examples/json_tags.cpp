/// Child tables with a JSON tag: written with SQL and a statement, filtered by what is in it.

#include "example.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "writes and reads JSON tags", [](auto options) {
    const Database database(with_statements(options), "penstock_example_json_tags");
    auto connection = database.connect();
    with_retries([&] {
      return connection.execute("CREATE STABLE IF NOT EXISTS devices (ts TIMESTAMP, v INT) TAGS (info JSON)");
    });
    with_retries([&] {
      return connection.execute(
          R"(INSERT INTO d1 USING devices TAGS ('{"kind":"pump","power":7.5,"indoor":true}') VALUES (1700000000000, 1))");
    });

    auto statement =
        with_retries([&] { return connection.prepare("INSERT INTO ? USING devices TAGS (?) VALUES (?, ?)"); });
    const client::Value valve[] = {client::Json{R"({"kind":"valve","maker":"Müller & \"Sons\""})"}};
    statement.set_tbname_tags("d2", valve);
    statement.bind_param({client::Timestamp{1'700'000'000'000}, std::int64_t{2}});
    const client::Value unknown[] = {client::Null{}};
    statement.set_tbname_tags("d3", unknown);
    statement.bind_param({client::Timestamp{1'700'000'000'000}, std::int64_t{3}});
    with_retries([&] { return statement.execute(); });

    const auto seen = with_retries([&] {
      std::string text;
      auto rows = connection.query("SELECT v, info FROM devices ORDER BY v");
      for (const auto row : rows) {
        const auto info = row["info"];
        if (const auto* json = std::get_if<client::Json>(&info))
          std::cout << row->display(0) << ": " << json->text << '\n';
        text += row->display(0) + (row->is_null(1) ? " NULL," : " JSON,");
      }
      return text;
    });
    check("tags", seen, "1 JSON,2 JSON,3 NULL,");
    check("pumps", first_cell(connection, "SELECT COUNT(*) FROM devices WHERE info->'kind' = 'pump'"), "1");
    check("the pump", first_cell(connection, "SELECT v FROM devices WHERE info->'kind' = 'pump'"), "1");
  });
}
