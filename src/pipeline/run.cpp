#include "pipeline/run.h"

// The only file that includes oneTBB: Debian's library is not instrumented for ThreadSanitizer.
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include "base/error.h"
#include "pipeline/stages.h"

namespace penstock::pipeline {

RunResult run(const RunPlan& plan, std::stop_source stop) {
  RunResult result;
  result.sources.resize(plan.inputs.size());
  ReadStage reader(plan, result.sources);
  DispatchStage dispatch(plan, result.sources);
  if (plan.lanes != nullptr) plan.lanes->on_failure([stop]() mutable { stop.request_stop(); });
  const auto token = stop.get_token();
  bool drain = true;
  try {
    using tbb::filter_mode;
    using Token = std::shared_ptr<Work>;
    const auto read = tbb::make_filter<void, Token>(filter_mode::serial_in_order, [&](tbb::flow_control& flow) -> Token {
      Token work = reader.next(token);
      if (!work) flow.stop();
      return work;
    });
    const auto work = tbb::make_filter<Token, Token>(filter_mode::parallel, [&](Token one) {
      parse(plan, *one);
      reader.learn(one->chunk->chunk.text.size(), one->chunk->rows.bytes());
      return one;
    });
    const auto out = tbb::make_filter<Token, void>(filter_mode::serial_in_order, [&](const Token& one) { dispatch.take(*one); });
    // The calling thread works too, so this many threads parse.
    tbb::task_arena arena(static_cast<int>(plan.threads));
    arena.execute([&] { tbb::parallel_pipeline(plan.threads + 2, read & work & out); });
  } catch (const Error& error) {
    result.error = std::current_exception();
    // Too many rejects: what came before is sound and is still written.
    drain = error.code() == Errc::limit;
  } catch (...) {
    result.error = std::current_exception();
    drain = false;
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
    plan.rejects->sync();
  } catch (...) {
    if (!result.error) result.error = std::current_exception();
  }
  return result;
}

}  // namespace penstock::pipeline
