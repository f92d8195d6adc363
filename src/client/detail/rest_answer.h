#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time_zone.h"
#include "client/rows.h"

namespace penstock::client::detail {

/// The body of an answer to POST /rest/sql: `{"code":0,"column_meta":[[name,type,length],…],"data":[[…],…],"rows":n}`
/// or `{"code":n,"desc":"…"}`. Rows are read when they are asked for, block by block.
///
/// Cells: numbers, true and false; TIMESTAMP as "2023-11-14T22:13:20.000+08:00" of which 3, 6 or 9 digits say the
/// precision of the result; DECIMAL as text; binary types in hexadecimal; JSON inlined; NULL, NaN and infinities null.
/// Texts need not be UTF-8: their bytes stay as they came.
class RestAnswer {
 public:
  /// What a body is.
  enum class Kind : std::uint8_t {
    result,   ///< or the outcome of a statement without one: see affected_rows()
    refusal,  ///< code(), message()
    text,     ///< a string of JSON: message()
    foreign,  ///< no answer of an adapter
  };
  /// `zone`: in which timestamps were printed, where their text may lack its seconds; or null. Throws
  /// Error(Errc::protocol) for a result that is malformed where it begins.
  explicit RestAnswer(std::string body, std::shared_ptr<const TimeZone> zone = nullptr);
  RestAnswer(RestAnswer&&) noexcept;
  RestAnswer& operator=(RestAnswer&&) noexcept;
  ~RestAnswer();

  [[nodiscard]] Kind kind() const noexcept;
  [[nodiscard]] std::int32_t code() const noexcept;  ///< low 16 bits
  [[nodiscard]] const std::string& message() const noexcept;
  /// The body, unless it is a result.
  [[nodiscard]] const std::string& body() const noexcept;

  [[nodiscard]] const std::vector<Field>& fields() const noexcept;
  [[nodiscard]] data::Precision precision() const noexcept;
  /// Where the result is one INT called affected_rows, as that of a statement without a result: its value. Reads it.
  std::optional<std::int64_t> affected_rows();

  /// The next rows as a raw block (wire/block.h) of at most 4096 rows and some megabytes; "" at the end. Throws
  /// Error(Errc::protocol) for what is malformed, and at the end for fewer or more rows than the answer says.
  std::string next_block();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::client::detail
