// As many floats at a time as the instruction set has lanes: one file is compiled once for each.
#ifndef ADJ_QUANT_LANES_H_
#define ADJ_QUANT_LANES_H_

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace adj_quant {
namespace ADJ_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

inline int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }

typedef float Lanes __attribute__((vector_size(kLanes * 4)));
typedef int Mask __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedLanes __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline Lanes Fill(float value) { return value - Lanes{}; }

// The first `count` (1..kLanes) of the lanes; the others are 0.
inline Lanes Load(const float* from, int count) {
  if (count == kLanes) return *reinterpret_cast<const UnalignedLanes*>(from);
#if defined(__AVX512F__)
  return (Lanes)_mm512_maskz_loadu_ps((1u << count) - 1, from);
#else
  Lanes lanes = {};
  memcpy(&lanes, from, count * sizeof(float));
  return lanes;
#endif
}

inline void Store(Lanes lanes, float* to, int count) {
  if (count == kLanes) {
    *reinterpret_cast<UnalignedLanes*>(to) = lanes;
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, (1u << count) - 1, (__m512)lanes);
#else
  memcpy(to, &lanes, count * sizeof(float));
#endif
}

// Rounds half to even, as tf.rint; never to -0.
inline Lanes Rint(Lanes x) {
#if defined(__AVX512F__)
  const Lanes rounded = (Lanes)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__AVX__)
  const Lanes rounded =
      (Lanes)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  // From 2^23 to 2^24, floats are the whole numbers; beyond, they have no fraction.
  const Lanes shift = x < 0.0f ? Fill(-8388608.0f) : Fill(8388608.0f);
  const Lanes rounded = (x < 8388608.0f) & (x > -8388608.0f) ? (x + shift) - shift : x;
#endif
  return rounded + 0.0f;
}

// NaN stays NaN: of the operands of these instructions, it must be the second.
inline Lanes Clip(Lanes x, Lanes low, Lanes high) {
#if defined(__AVX512F__)
  return (Lanes)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)x));
#elif defined(__AVX__)
  return (Lanes)_mm256_min_ps((__m256)high, _mm256_max_ps((__m256)low, (__m256)x));
#elif defined(__SSE__)
  return (Lanes)_mm_min_ps((__m128)high, _mm_max_ps((__m128)low, (__m128)x));
#else
  x = x < low ? low : x;
  return x > high ? high : x;
#endif
}

// The rational function that TensorFlow 1.13.1 computes for tf.sigmoid, operation by operation, so
// that both give the same bits. (Eigen, functors for neural networks: scalar_logistic_op.)
inline Lanes Sigmoid(Lanes x) {
  x = Clip(x, Fill(-18.0f), Fill(18.0f));
  const Lanes x2 = x * x;
  Lanes p = x2 * 4.37031012579801e-11f + 1.15627324459942e-07f;
  p = x2 * p + 6.08574864600143e-05f;
  p = x2 * p + 8.51377133304701e-03f;
  p = x2 * p + 2.48287947061529e-01f;
  p = x * p;
  Lanes q = x2 * 6.10247389755681e-13f + 5.76102136993427e-09f;
  q = x2 * q + 6.29106785017040e-06f;
  q = x2 * q + 1.70198817374094e-03f;
  q = x2 * q + 1.16817656904453e-01f;
  q = x2 * q + 9.93151921023180e-01f;
  return Clip(p / q + 0.5f, Lanes{}, Fill(1.0f));
}

}  // namespace ADJ_ISA
}  // namespace adj_quant

#endif  // ADJ_QUANT_LANES_H_
