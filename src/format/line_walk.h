#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/row_set.h"
#include "format/line_kernels.h"
#include "io/chunk.h"

/// What parsers of formats have in common whose record is a line.
namespace penstock::format {

/// Goes over the lines of a chunk. Kept from chunk to chunk: its buffer is reused.
class LineWalk {
 public:
  static constexpr std::size_t kAhead = 2048;  ///< text that is asked for before it is read
  struct Rules {
    /// A payload and no file: a byte order mark and the carriage return before a line end belong to the text.
    bool payload = false;
    bool predict = true;  ///< off: every line takes the general path
  };

  /// Calls `predicted(line, end, offset)`, which keeps the line's row and returns the start of the next line, or
  /// nothing and nullptr; then `general(line, stop, offset)` gets the line without its end. A newline and io::kPadding
  /// bytes stand behind every line. Counts line ends in `rows`.
  template <class Predicted, class General>
  void over(std::string_view text, bool first, Rules rules, data::RowSet& rows, const Predicted& predicted,
            const General& general) {
    const auto run = [&](const char* begin, const char* end, std::size_t offset) {
      std::uint64_t lines = 0;
      for (const char* line = begin; line < end; ++lines) {
        const std::size_t at = offset + static_cast<std::size_t>(line - begin);
        if (rules.predict) [[likely]] {
          if (const char* const next = predicted(line, end, at)) [[likely]] {
            // The processor alone does not look far enough ahead for a parser of this speed.
            for (; line < next; line += 64) __builtin_prefetch(line + kAhead);
            line = next;
            continue;
          }
        }
        const char* const newline = find_newline(line);
        const char* stop = newline;
        if (!rules.payload && stop > line && stop[-1] == '\r') --stop;
        general(line, stop, at);
        line = newline + 1;
      }
      rows.set_lines(rows.lines() + lines);
    };
    const auto newline = text.rfind('\n');
    const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
    // The server would make a byte order mark part of the first name; no file means that.
    const std::size_t start = first && !rules.payload && text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    const std::size_t rest = std::max(start, whole);
    struct Piece {
      std::string_view text;
      std::size_t offset;
    } pieces[2]{{text.substr(start, whole > start ? whole - start : 0), start}, {}};
    // A last line without a newline is parsed in a copy that has one.
    const bool cut = rest < text.size();
    if (cut) {
      // As in the chunk, readable bytes stand before a line that is not the first.
      const std::size_t lead = std::min<std::size_t>(rest, io::kPadding);
      tail_.assign(text, rest - lead);
      tail_ += '\n';
      const auto size = tail_.size();
      tail_.append(io::kPadding, '\0');
      pieces[1] = {std::string_view(tail_).substr(lead, size - lead), rest};
    }
    // One call, so that the paths are inlined once.
    for (const auto& piece : pieces) run(piece.text.data(), piece.text.data() + piece.text.size(), piece.offset);
    if (cut) rows.set_lines(rows.lines() - 1);
  }

 private:
  std::string tail_;
};

/// Gives a parser's plan its shape in the RowSet at hand. A plan has `table`, `shape`, `epoch`, `rows` and `longest`.
template <class Plan>
std::uint32_t open_shape(Plan& plan, std::span<const data::Field> fields, std::uint64_t epoch, std::vector<Plan*>& open,
                         data::RowSet& rows) {
  plan.shape = rows.add_shape(plan.table, fields);
  plan.epoch = epoch;
  plan.rows = 0;
  std::fill(plan.longest.begin(), plan.longest.end(), 0);
  open.push_back(&plan);
  return plan.shape;
}

/// Tells the shapes what the plans counted and measured.
template <class Plan>
void close_shapes(std::vector<Plan*>& open, data::RowSet& rows) {
  for (auto* plan : open) {
    auto& shape = rows.shape(plan->shape);
    shape.rows = plan->rows;
    shape.max_length = plan->longest;
  }
  open.clear();
}

}  // namespace penstock::format
