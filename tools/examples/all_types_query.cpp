/// Every data type through SQL, read by row and by column, over any transport.

#include "all_types.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "writes values of every data type with SQL and reads them back", [](auto options) {
    const Database database(options, "penstock_example_all_types_query");
    auto connection = database.connect();
    with_retries([&] { return connection.execute(kAllTypes); });
    with_retries([&] {
      return connection.execute(
          "INSERT INTO all_types VALUES "
          "(1700000000000, false, -128, -32768, -2147483648, -9223372036854775807, 0, 0, 0, 0, -1.25, -2.5e300, '', "
          "'', "
          "'\\x00ff', 'POINT(1 2)', -12345678.90, -1234567890123456789012345678.0123456789) "
          "(1700000000001, true, 127, 32767, 2147483647, 9223372036854775807, 255, 65535, 4294967295, "
          "18446744073709551615, 3.5, 2.5e300, 'it\\'s \"quoted\" \\\\', '中文 😀 ä', 'abc', 'POINT(1 2)', 0.01, "
          "0.0000000001) "
          "(1700000000002, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
          "NULL, "
          "NULL)");
    });
    with_retries([&] {
      auto all = connection.query("SELECT * FROM all_types ORDER BY ts");
      check_all_types(all);
      return 0;
    });

    // As people read it.
    with_retries([&] {
      auto shown = connection.query("SELECT * FROM all_types ORDER BY ts");
      for (const auto row : shown) {
        for (std::size_t column = 0; column < row.size(); ++column)
          std::cout << (column == 0 ? "" : " | ") << row->display(column);
        std::cout << '\n';
      }
      return 0;
    });

    with_retries([&] { return connection.execute(kBlobs); });
    with_retries([&] { return connection.execute("INSERT INTO blobs VALUES (1700000000000, 1, '\\x00ff10')"); });
    check("a BLOB", first_cell(connection, "SELECT b FROM blobs"), "\\x00ff10");

    // By column: a block's values where they lie.
    const auto sum = with_retries([&] {
      auto blocks = connection.query("SELECT ts, i8, d FROM all_types WHERE i8 IS NOT NULL");
      double total = 0;
      while (blocks.next_block()) {
        for (const double value : blocks.block().template column<double>(2)) total += value;
      }
      return total;
    });
    check("sum of the doubles", sum, 0.0);

    // An error says what was refused; its class says what to do about it.
    try {
      connection.query("SELECT nope FROM all_types");
      fail("an unknown column was found");
    } catch (const client::ProgrammingError& error) {
      std::cout << "as it should be: " << error.what() << '\n';
    }
  });
}
