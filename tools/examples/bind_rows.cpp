/// Inserts row by row with a prepared statement: what comes one value at a time.

#include "example.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "inserts rows of three meters by a prepared statement and reads them back", [](auto options) {
    const Database database(with_statements(options), "penstock_example_bind_rows");
    auto connection = database.connect();
    with_retries([&] {
      return connection.execute(
          "CREATE STABLE IF NOT EXISTS meters (ts TIMESTAMP, current FLOAT, voltage INT, phase FLOAT) "
          "TAGS (location VARCHAR(40), group_id INT)");
    });

    auto statement =
        with_retries([&] { return connection.prepare("INSERT INTO ? USING meters TAGS (?, ?) VALUES (?, ?, ?, ?)"); });
    constexpr std::int64_t kBegin = 1'700'000'000'000;
    for (std::int64_t meter = 0; meter < 3; ++meter) {
      // Child tables that do not exist yet are made with these tags.
      const client::Value tags[] = {"place " + std::to_string(meter), meter};
      statement.set_tbname_tags("meter_" + std::to_string(meter), tags);
      for (std::int64_t second = 0; second < 1000; ++second)
        statement.bind_param({client::Timestamp{kBegin + 1000 * second}, 10.0F + static_cast<float>(meter),
                              219 + second % 3,
                              second % 10 == 0 ? client::Value(client::Null{}) : client::Value(0.31F)});
    }
    // Sends all three tables in one request. After a lost connection the same call sends them again.
    const auto affected = with_retries([&] { return statement.execute(); });
    std::cout << affected << " rows written\n";

    // Reading is inside too: a result dies with its connection.
    const auto tables = with_retries([&] {
      std::int64_t count = 0;
      auto rows = connection.query(
          "SELECT tbname, COUNT(*), COUNT(phase), SUM(voltage) FROM meters GROUP BY tbname ORDER BY tbname");
      for (const auto row : rows) {
        std::cout << row->display(0) << ": " << row->display(1) << " rows, voltage " << row->display(3) << '\n';
        check("rows of a meter", row->integer(1), 1000U);
        check("phases of a meter", row->integer(2), 900U);
        check("sum of the voltage", row->integer(3), 219'999U);
        ++count;
      }
      return count;
    });
    check("meters", tables, 3);
  });
}
