#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "client/consumer.h"

namespace penstock::client {

/// Tables, columns and cells of the rows of a message.
inline std::string text_of(std::vector<Message::Block>&& blocks) {
  std::string out;
  for (auto& block : blocks) {
    out += fmt::format("[{}:", block.table);
    for (const auto& field : block.rows.fields())
      out += fmt::format(" {} {}({})", field.name, data::type_name(field.type), field.length);
    while (block.rows.next()) {
      out += '\n';
      for (std::size_t c = 0; c < block.rows.fields().size(); ++c) out += block.rows.display(c) + '|';
    }
    out += "]\n";
  }
  return out;
}

}  // namespace penstock::client
