#pragma once

#include <cstdint>

/// Counts what `operator new` gives out in this program: allocation_counter.cpp replaces it.
namespace penstock::performance {

struct Allocations {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;  ///< asked for, over all of `count`
};

/// Since the start of the program, all threads.
Allocations allocations() noexcept;

}  // namespace penstock::performance
