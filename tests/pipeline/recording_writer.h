#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "schema/registry.h"
#include "sink/window.h"
#include "sink/writer.h"

namespace penstock::pipeline {

/// What several lanes wrote, as rows in the order of arrival a child table.
struct Recorded {
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> children;  ///< "super/child": "time field=value …"
  std::size_t windows = 0;
};

/// Keeps rows as text instead of sending them.
class RecordingWriter : public sink::Writer {
 public:
  explicit RecordingWriter(Recorded& recorded, std::function<void()> before = {})
      : recorded_(recorded), before_(std::move(before)) {}

  void write(sink::Window& window) override {
    if (before_) before_();
    window.group();
    const std::lock_guard lock(recorded_.mutex);
    ++recorded_.windows;
    for (const auto& table : window.tables())
      for (const auto& run : table.runs) {
        auto& rows = recorded_.children[run.child->table->name + "/" + std::string(run.child->name)];
        for (auto i = run.begin; i < run.end; ++i) {
          const auto& ref = window.rows()[i];
          std::map<std::string, std::string> fields;
          for (std::size_t s = 0; s < ref.shape().columns.size(); ++s) {
            const auto& column = table.version->columns.at(ref.shape().columns[s]);
            const auto slot = ref.row->slots()[s];
            const bool null = ref.shape().nullable && data::Shape::is_null(*ref.row, ref.shape().columns.size(), s);
            fields[column.name] = null                             ? "NULL"
                                  : data::is_variable(column.type) ? std::string(data::text_of(slot))
                                                                   : std::to_string(slot);
          }
          std::string text = std::to_string(ref.row->time);
          for (const auto& [name, value] : fields) text += " " + name + "=" + value;
          rows.push_back(std::move(text));
          window.note_written(ref);
        }
      }
  }

 private:
  Recorded& recorded_;
  std::function<void()> before_;
};

}  // namespace penstock::pipeline
