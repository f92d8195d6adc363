/// Inserts by column with a prepared statement: the fastest way, for values that lie in arrays already.

#include <vector>

#include "example.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "inserts arrays of values into a hundred child tables and reads sums back", [](auto options) {
    const Database database(with_statements(options), "penstock_example_bind_columns");
    auto connection = database.connect();
    with_retries([&] {
      return connection.execute(
          "CREATE STABLE IF NOT EXISTS meters (ts TIMESTAMP, current DOUBLE, voltage INT, note VARCHAR(20)) "
          "TAGS (location NCHAR(20), group_id INT)");
    });
    auto statement = with_retries([&] {
      return connection.prepare(
          "INSERT INTO meters (tbname, location, group_id, ts, current, voltage, note) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)");
    });

    constexpr std::size_t kTables = 100;
    constexpr std::size_t kRows = 500;
    std::vector<std::chrono::sys_time<std::chrono::milliseconds>> times(kRows);
    std::vector<double> currents(kRows);
    std::vector<std::int32_t> voltages(kRows);
    std::vector<std::string_view> notes(kRows);
    std::vector<std::uint8_t> states(kRows);  // of the notes: 0 a value, 1 NULL
    const std::chrono::sys_time<std::chrono::milliseconds> begin(std::chrono::milliseconds(1'700'000'000'000));
    for (std::size_t row = 0; row < kRows; ++row) {
      times[row] = begin + std::chrono::seconds(row);
      currents[row] = 0.5 * static_cast<double>(row);
      voltages[row] = static_cast<std::int32_t>(row);
      notes[row] = "steady";
      states[row] = row % 2;
    }
    // The arrays are read once, when they are bound, and free again when bind() returns.
    const client::Cells columns[] = {client::Cells::times<std::chrono::milliseconds>(times), currents, voltages,
                                     client::Cells::texts(std::span<const std::string_view>(notes), states)};
    for (std::size_t table = 0; table < kTables; ++table) {
      const client::Value tags[] = {std::string("Straße ") + std::to_string(table),
                                    static_cast<std::int64_t>(table % 7)};
      statement.bind({"meter_" + std::to_string(table), tags, columns});
    }
    std::cout << with_retries([&] { return statement.execute(); }) << " rows written\n";

    constexpr std::uint64_t kInGroup = 14;  // 3, 10, … 94
    with_retries([&] {
      auto rows =
          connection.query("SELECT COUNT(*), SUM(voltage), SUM(current), COUNT(note) FROM meters WHERE group_id = 3");
      check("a row of sums", rows.next(), true);
      check("rows", rows.integer(0), kInGroup * kRows);
      check("sum of the voltage", rows.integer(1), kInGroup * (kRows * (kRows - 1) / 2));
      check("sum of the current", rows.real(2), 0.5 * static_cast<double>(kInGroup * (kRows * (kRows - 1) / 2)));
      check("notes", rows.integer(3), kInGroup * kRows / 2);
      return 0;
    });
  });
}
