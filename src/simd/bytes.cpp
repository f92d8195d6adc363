#include "simd/bytes.h"

namespace penstock::simd {
namespace {

// Constant-initialised to the scalar kernels, so that a call from another static initialiser is safe too.
constinit const Kernels* chosen = &kScalar;

struct Choose {
  Choose() noexcept {
    if (const Kernels* best = avx2_kernels()) chosen = best;
  }
} const choose;

}  // namespace

const Kernels& active() noexcept { return *chosen; }

}  // namespace penstock::simd
