#include "sandbox/result_block.h"

#include "wire/block.h"

namespace penstock::sandbox {

std::string result_block(const Answer& answer, std::size_t first, std::size_t count, std::int32_t version) {
  using data::Type;
  std::vector<wire::BlockWriter::Column> columns;
  columns.reserve(answer.fields.size());
  for (const auto& field : answer.fields) {
    const bool decimal = field.type == Type::decimal64 || field.type == Type::decimal128;
    columns.push_back({field.type, decimal ? wire::BlockWriter::decimal_bytes(field.type, field.precision, field.scale)
                                           : field.stored_bytes});
  }
  wire::BlockWriter writer(std::move(columns));
  for (std::uint32_t c = 0; c < answer.fields.size(); ++c) {
    const Type type = answer.fields[c].type;
    for (std::size_t r = first; r < first + count; ++r) {
      const Value& value = answer.rows[r][c];
      if (value.state != Value::State::value) {
        writer.add_null(c);
      } else if (type == Type::decimal128) {
        writer.add_decimal128(c, value.text);
      } else if (data::is_variable(type)) {
        writer.add_text(c, value.text);
      } else {
        writer.add_fixed(c, value.bits);
      }
    }
  }
  return writer.finish(static_cast<std::uint32_t>(count), version);
}

}  // namespace penstock::sandbox
