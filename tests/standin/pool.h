#pragma once

#include <functional>

namespace penstock::standin {

/// Runs the work on a thread of the library. Nothing that the work does may throw. The threads never end: clients never
/// unload the library, and TDengine's has threads of its own too.
void run_on_pool(std::function<void()> work);

}  // namespace penstock::standin
