#pragma once

#include "sink/request.h"
#include "sink/writer.h"

namespace penstock::sink {

/// `--to null:`: does everything up to the finished, masked WebSocket frame and discards it at the socket.
class NullWriter : public Writer {
 public:
  NullWriter(WriteOptions options, WriteObserver& observer) : options_(options), observer_(observer) {}
  void write(Window& window) override;

 private:
  WriteOptions options_;
  WriteObserver& observer_;
  wire::Stmt2Encoder encoder_;
  wire::Buffer frame_;
};

}  // namespace penstock::sink
