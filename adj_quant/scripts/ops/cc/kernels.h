// The arithmetic of the ops, free of TensorFlow. Tensors are rows of C channels, float32.
#ifndef ADJ_QUANT_KERNELS_H_
#define ADJ_QUANT_KERNELS_H_

#include <stdint.h>

namespace adj_quant {

// The values k * step of lowest <= k <= highest for each channel: three rows of C. Null: no grid.
struct Grid {
  const float* values = nullptr;
  int64_t stride = 0;  // Of the rows.
};

enum Function { kIdentity, kRelu6, kSwish, kSigmoid };

// y = Q_out(f(Q_in(x + bias)) * gate + skip), where all but x may be left out (null).
// A gate or a skip goes with the identity only, and without Q_in.
struct Activation {
  Function function = kIdentity;
  int64_t channels = 0;
  const float* bias = nullptr;  // [C].
  Grid in;
  const float* gate = nullptr;  // [C], of the image that the rows belong to.
  Grid out;
};

// Sums over rows that the gradient gives: rows of C channels, in this order.
enum Sum { kBias, kIn, kOut = kIn + 3, kGate = kOut + 3, kSums };

constexpr int64_t kLargestWindow = 16;  // Pixels a side.

struct Window {  // Of a depthwise convolution; image [height, width, C], kernel [size, size, C].
  int64_t height, width, channels, size, stride, top, left, out_height, out_width;
};

struct Kernels {
  // Writes y if it is not null, adds y to the sums [C] row by row if they are not null.
  void (*activate)(const Activation&, const float* x, const float* skip, int64_t rows, float* y,
                   float* sums);
  // Gradients for dy (or null) plus `constant` [C] (or null) in each row; dx may be dy.
  // Adds to the `sums` [kSums, C] those that there are.
  void (*activate_gradient)(const Activation&, const float* x, const float* skip, const float* dy,
                            const float* constant, int64_t rows, float* dx, float* sums);
  // Output rows [first, last) of one image.
  void (*depthwise)(const Window&, const float* x, const float* kernel, int64_t first,
                    int64_t last, float* y);
  // Input rows [first, last) of one image.
  void (*depthwise_input_gradient)(const Window&, const float* dy, const float* kernel,
                                   int64_t first, int64_t last, float* dx);
  // Adds the share of one image to dkernel, in channels [first, last) (first a multiple of 16).
  void (*depthwise_kernel_gradient)(const Window&, const float* x, const float* dy, int64_t first,
                                    int64_t last, float* dkernel);
};

// Each is compiled with the instructions it is named after.
namespace baseline { extern const Kernels kKernels; }
namespace avx2 { extern const Kernels kKernels; }
namespace avx512 { extern const Kernels kKernels; }

}  // namespace adj_quant

#endif  // ADJ_QUANT_KERNELS_H_
