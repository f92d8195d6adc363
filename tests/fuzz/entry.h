#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/// Fuzz entries: each takes any bytes and ends the program when a promise about them is broken.
namespace penstock::fuzz {

struct Entry {
  std::string_view name;  ///< also of its folder in datasets/fuzz
  void (*run)(std::string_view input);
  std::size_t most_bytes;   ///< longer inputs are not worth their time
  std::string_view tokens;  ///< pieces that inputs are made of, one a line, for mutations
};

/// All entries, in the order of their names.
std::span<const Entry> entries();
/// nullptr when there is none of that name.
const Entry* find_entry(std::string_view name);

/// Prints the broken promise and aborts.
[[noreturn]] void broken(const char* file, int line, const char* promise, std::string_view details = {});

/// Bytes of the input that steer the run instead of being its text.
class Steering {
 public:
  explicit Steering(std::string_view& input) : input_(input) {}
  /// The next byte, taken off the front; 0 at the end.
  std::uint8_t byte() {
    if (input_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(input_.front());
    input_.remove_prefix(1);
    return value;
  }
  std::uint32_t below(std::uint32_t limit) { return byte() % limit; }

 private:
  std::string_view& input_;
};

// The entries, by file.
void line(std::string_view input);
void telnet(std::string_view input);
void json(std::string_view input);
void csv(std::string_view input);
void influx_csv(std::string_view input);
void ndjson(std::string_view input);
void cutter(std::string_view input);
void reader(std::string_view input);
void mapping(std::string_view input);
void numbers(std::string_view input);
void times(std::string_view input);
void zones(std::string_view input);
void wkt(std::string_view input);
void wire(std::string_view input);
void tmq(std::string_view input);
void websocket(std::string_view input);
void coerce(std::string_view input);

}  // namespace penstock::fuzz

#define FUZZ_PROMISE(condition) \
  ((condition) ? static_cast<void>(0) : penstock::fuzz::broken(__FILE__, __LINE__, #condition))
#define FUZZ_SAME(left, right)                                                                            \
  do {                                                                                                    \
    const auto fuzz_left = (left);                                                                        \
    const auto fuzz_right = (right);                                                                      \
    if (fuzz_left != fuzz_right)                                                                          \
      penstock::fuzz::broken(__FILE__, __LINE__, #left " == " #right, fuzz_left + "\n--\n" + fuzz_right); \
  } while (false)
