#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/detail/consumer_backend.h"
#include "client/detail/tmq_link.h"

namespace penstock::client::detail {

/// How far a delivered message reaches in the log of its vgroup.
struct Reach {
  std::optional<std::int64_t> end;  ///< where to go on behind it, once that is known
  bool newest = true;               ///< of its vgroup, and nothing was sought since
};

/// A message on the adapter, which keeps the latest one only.
struct TmqMessage final : MessageState {
  explicit TmqMessage(const std::shared_ptr<TmqLink>& owner)
      : link(owner), epoch(owner->epoch()), zone(owner->options().time_zone) {}

  std::weak_ptr<TmqLink> link;
  std::uint64_t epoch;
  std::string zone;
  std::uint64_t id = 0;
  std::shared_ptr<Reach> reach = std::make_shared<Reach>();
  std::shared_ptr<Reach> before;  ///< of the message before it in the vgroup

  std::vector<Message::Block> blocks() override;
  std::string json() override;
  Message::Raw raw() override;

 private:
  // A block that was fetched, with all that its Rows need.
  struct Part {
    std::string table;
    std::vector<Field> fields;
    data::Precision precision = data::Precision::milliseconds;
    std::shared_ptr<const std::string> bytes;  ///< in which the block is
    std::string_view block;
  };

  std::shared_ptr<TmqLink> need_link(std::string_view action) const;
  void fetch_raw(TmqLink& from);
  void read_payload();
  void fetch_parts(TmqLink& from);

  std::optional<std::vector<Part>> parts_;
  std::optional<std::string> json_;
  std::shared_ptr<const std::string> answer_;  ///< to fetch_raw_data or fetch_raw
  std::uint16_t type_ = 0;
  std::string_view payload_;  ///< in answer_
};

}  // namespace penstock::client::detail
