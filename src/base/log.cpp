#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace penstock {
namespace {

// The code of lines that are not events.
constexpr std::string_view kPlain = "log";

std::atomic<LogFormat> log_format{LogFormat::text};

struct LevelNames {
  spdlog::level::level_enum level;
  std::string_view name;
  std::string_view priority;  // of syslog
};
// By LogLevel.
constexpr std::array<LevelNames, 4> kLevels{{{spdlog::level::debug, "debug", "<7>"},
                                             {spdlog::level::info, "info", "<6>"},
                                             {spdlog::level::warn, "warning", "<4>"},
                                             {spdlog::level::err, "error", "<3>"}}};

const LevelNames& names_of(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_logger_mt("penstock");
    made->set_pattern("%v");
    made->set_level(spdlog::level::warn);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

std::string now_text() {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     now.time_since_epoch().count() % 1000);
}

std::string json_line(LogLevel level, std::string_view code, std::string_view message,
                      std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line{
      {"time", now_text()}, {"level", names_of(level).name}, {"code", code}, {"message", message}};
  for (const auto& field : fields)
    std::visit([&](const auto& value) { line[std::string(field.name)] = value; }, field.value);
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void write(LogLevel level, std::string_view code, std::string_view message, std::initializer_list<LogField> fields) {
  const auto& names = names_of(level);
  if (!logger().should_log(names.level)) return;
  const auto format = log_format.load(std::memory_order_relaxed);
  if (format == LogFormat::json) {
    logger().log(names.level, json_line(level, code, message, fields));
    return;
  }
  const auto tail = code == kPlain ? std::string() : fmt::format(" [{}]", code);
  switch (format) {
    case LogFormat::dated:
      logger().log(names.level, fmt::format("{} {}: {}{}", now_text(), names.name, message, tail));
      break;
    case LogFormat::journal: logger().log(names.level, fmt::format("{}{}{}", names.priority, message, tail)); break;
    default: logger().log(names.level, fmt::format("penstock: {}: {}{}", names.name, message, tail)); break;
  }
}

}  // namespace

void log(LogLevel level, std::string_view message) { write(level, kPlain, message, {}); }

void log_event(LogLevel level, std::string_view code, std::string_view message,
               std::initializer_list<LogField> fields) {
  write(level, code, message, fields);
}

void set_log_level(LogLevel level) { logger().set_level(names_of(level).level); }

void set_log_format(LogFormat format) { log_format.store(format, std::memory_order_relaxed); }

}  // namespace penstock
