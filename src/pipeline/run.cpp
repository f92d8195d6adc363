#include "pipeline/run.h"

// The only file that includes oneTBB: Debian's library is not instrumented for ThreadSanitizer.
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <atomic>
#include <utility>

#include "base/error.h"
#include "pipeline/stages.h"

namespace penstock::pipeline {
namespace {

// What goes through the pipeline. Errors go along with it, so that all chunks before one that failed are still
// dispatched, and because oneTBB does not free what is under way when a filter throws.
struct Item {
  std::unique_ptr<Work> work;
  std::exception_ptr error;
};

}  // namespace

RunResult run(const RunPlan& plan, std::stop_source stop) {
  RunResult result;
  result.sources.resize(plan.inputs.size());
  ReadStage reader(plan, result.sources);
  DispatchStage dispatch(plan);
  if (plan.lanes != nullptr) plan.lanes->on_failure([stop]() mutable { stop.request_stop(); });
  const auto token = stop.get_token();
  // Ends the reading alone, also one that waits for a pipe: by a stop from outside, or once no more rows are wanted.
  std::stop_source enough;
  const std::stop_callback forward(token, [&enough] { enough.request_stop(); });
  bool drain = true;
  std::atomic<bool> ended{false};
  bool dispatch_ended = false;
  const auto fail = [&](std::exception_ptr error) {
    result.error = std::move(error);
    dispatch_ended = true;
    ended = true;
  };
  using tbb::filter_mode;
  using Token = std::shared_ptr<Item>;
  const auto read = tbb::make_filter<void, Token>(filter_mode::serial_in_order, [&](tbb::flow_control& flow) -> Token {
    auto item = std::make_shared<Item>();
    try {
      if (!ended) item->work = reader.next(enough.get_token());
    } catch (...) {
      item->error = std::current_exception();
      ended = true;
    }
    if (!item->work && !item->error) flow.stop();
    return item;
  });
  const auto work = tbb::make_filter<Token, Token>(filter_mode::parallel, [&](Token item) {
    if (item->error) return item;
    try {
      parse(plan, *item->work);
      reader.learn(item->work->chunk->chunk.text.size(), item->work->chunk->rows.bytes());
    } catch (...) {
      plan.budget->release(std::exchange(item->work->reserved, 0));
      item->error = std::current_exception();
      ended = true;
    }
    return item;
  });
  const auto out = tbb::make_filter<Token, void>(filter_mode::serial_in_order, [&](const Token& item) {
    if (dispatch_ended) return;
    if (item->error) return fail(item->error);
    try {
      dispatch.take(*item->work);
      if (dispatch.full()) {
        dispatch_ended = true;
        enough.request_stop();
      }
    } catch (...) {
      fail(std::current_exception());
    }
  });
  try {
    // The calling thread works too, so this many threads parse.
    tbb::task_arena arena(static_cast<int>(plan.threads));
    arena.execute([&] { tbb::parallel_pipeline(plan.threads + 2, read & work & out); });
  } catch (...) {
    result.error = std::current_exception();
  }
  if (result.error) {
    try {
      std::rethrow_exception(result.error);
    } catch (const Error& error) {
      // Too many rejects or tables, or a full disk: what came before is sound and is still written.
      drain = error.code() == Errc::limit || error.code() == Errc::io;
    } catch (...) {
      drain = false;
    }
  }
  result.interrupted = token.stop_requested() && (plan.lanes == nullptr || !plan.lanes->failed());
  if (plan.lanes != nullptr) {
    try {
      if (drain) plan.lanes->finish();
      else plan.lanes->stop();
    } catch (...) {
      if (!result.error) result.error = std::current_exception();
    }
  }
  try {
    plan.rejects->drop_pieces();
    plan.rejects->make_durable();  // who keeps a journal asks for the changes
  } catch (...) {
    if (!result.error) result.error = std::current_exception();
  }
  return result;
}

}  // namespace penstock::pipeline
