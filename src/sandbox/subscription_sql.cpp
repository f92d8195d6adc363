#include <fmt/format.h>

#include "sandbox/subscription_hub.h"

/// Statements about topics and consumer groups, and the system tables that show them.
namespace penstock::sandbox {
namespace {

Datum text(std::string_view v) { return Datum::of_text(v); }
Datum time_or_none(std::int64_t ms) { return ms == 0 ? Datum::none(data::Type::timestamp) : Datum::of_time(ms); }
std::string id_text(std::uint64_t id) { return fmt::format("0x{:016x}", id); }

constexpr std::string_view reset_name(ConsumerOptions::Reset reset) {
  return reset == ConsumerOptions::Reset::earliest ? "earliest"
         : reset == ConsumerOptions::Reset::none   ? "none"
                                                   : "latest";
}

}  // namespace

Answer run_create_topic(SessionContext& context, Cursor& in) {
  bool exists_ok = false;
  auto topic = parse_topic(context, in, exists_ok);
  context.instance->subscriptions->create(std::move(topic), exists_ok);
  return {};
}

Answer run_drop_topic(SessionContext& context, Cursor& in) {
  const bool missing_ok = in.accept_all({"if", "exists"});
  in.accept("force");
  const auto name = in.identifier(192);
  in.finish();
  context.instance->subscriptions->drop(name, missing_ok);
  return {};
}

Answer run_drop_consumer_group(SessionContext& context, Cursor& in) {
  in.expect("group");
  const bool missing_ok = in.accept_all({"if", "exists"});
  in.accept("force");
  const auto group = in.identifier(192);
  in.expect("on");
  const auto topic = in.identifier(192);
  in.finish();
  context.instance->subscriptions->drop_group(group, topic, missing_ok);
  return {};
}

bool subscription_rows(const SessionContext& context, std::string_view table, std::vector<std::vector<Datum>>& rows) {
  const auto& all = *context.instance->subscriptions;
  if (table == "ins_topics") {
    for (const auto& topic : all.topics()) {
      const std::string_view kind = topic->kind == Topic::Kind::query    ? "column"
                                    : topic->kind == Topic::Kind::stable ? "stable"
                                                                         : "db";
      rows.push_back({text(topic->name), text(topic->database->name), Datum::of_time(topic->created), text(topic->sql),
                      text(topic->schema), text(topic->with_meta ? "yes" : "no"), text(kind)});
    }
  } else if (table == "ins_subscriptions") {
    for (const auto& s : all.subscriptions()) {
      rows.push_back({text(s.topic), text(s.group),
                      Datum::fixed(data::Type::integer, static_cast<std::uint64_t>(s.vgroup)),
                      s.member ? text(id_text(s.member->id)) : Datum::none(data::Type::varchar),
                      s.member ? text(s.member->options.user) : Datum::none(data::Type::varchar),
                      s.member ? text("localhost") : Datum::none(data::Type::varchar),
                      s.offset ? text(fmt::format("wal:{}", *s.offset)) : text("none"), Datum::of_int(s.rows)});
    }
  } else if (table == "perf_consumers") {
    for (const auto& m : all.members()) {
      const auto& o = m.options;
      const auto parameters = fmt::format("tbname:{:d},commit:{:d},interval:{}ms,reset:{}", o.with_table_name,
                                          o.auto_commit, o.auto_commit_every.count(), reset_name(o.reset));
      for (const auto& topic : m.topics) {
        rows.push_back({text(id_text(m.id)), text(o.group), text(o.client), text(o.user), text("localhost"),
                        text("ready"), text(topic), time_or_none(m.up), time_or_none(m.subscribed),
                        time_or_none(m.rebalanced), text(parameters), time_or_none(m.polled)});
      }
    }
  } else {
    return false;
  }
  return true;
}

}  // namespace penstock::sandbox
