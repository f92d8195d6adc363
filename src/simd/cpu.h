#pragma once

#include <cpuid.h>

namespace penstock::simd {

/// The processor and the system have all that the AVX2 kernels are compiled for.
inline bool has_avx2_kernels() noexcept {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
    return false;
  // Clang 14 does not know "lzcnt" by name.
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kExtended = 0x80000001;
  constexpr unsigned kLzcnt = 1u << 5;
  return __get_cpuid(kExtended, &a, &b, &c, &d) != 0 && (c & kLzcnt) != 0;
}

}  // namespace penstock::simd
