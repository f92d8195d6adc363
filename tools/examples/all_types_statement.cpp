/// Every data type through prepared statements: bound, read back, and as parameters of a query.

#include "all_types.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "binds values of every data type and reads them back", [](auto options) {
    const Database database(with_statements(options), "penstock_example_all_types_statement");
    auto connection = database.connect();
    with_retries([&] { return connection.execute(kAllTypes); });
    std::string marks = "?";
    for (std::size_t i = 1; i < kColumns; ++i) marks += ",?";
    auto insert = with_retries([&] { return connection.prepare("INSERT INTO all_types VALUES (" + marks + ")"); });
    for (const auto& row : all_type_rows()) insert.bind_param(row);
    check("rows written", with_retries([&] { return insert.execute(); }), 3);

    with_retries([&] {
      auto all = connection.query("SELECT * FROM all_types ORDER BY ts");
      for (const auto& field : all.fields())
        std::cout << field.name << ' ' << data::type_name(field.type) << ' ' << field.length << '\n';
      check_all_types(all);
      return 0;
    });

    with_retries([&] { return connection.execute(kBlobs); });
    auto blob = with_retries([&] { return connection.prepare("INSERT INTO blobs VALUES (?,?,?)"); });
    const std::string bytes(100'000, '\xfe');
    blob.bind_param({client::Timestamp{1'700'000'000'000}, std::int64_t{1}, client::Binary{bytes}});
    with_retries([&] { return blob.execute(); });
    const auto same = with_retries([&] {
      auto blobs = connection.query("SELECT b FROM blobs");
      return blobs.next() && blobs.bytes(0) == bytes;
    });
    check("a BLOB of 100,000 bytes", same, true);

    auto query = with_retries(
        [&] { return connection.prepare("SELECT s FROM all_types WHERE i4 > ? AND u8 > ? AND d > ? AND n = ?"); });
    const auto text = with_retries([&] {
      auto found = query.query({std::int64_t{0}, std::uint64_t{1}, 1.0, std::string("中文 😀 ä")});
      return found.next() ? found.text(0) : "nothing";
    });
    check("found by parameters", text, "it's \"quoted\" \\");
  });
}
