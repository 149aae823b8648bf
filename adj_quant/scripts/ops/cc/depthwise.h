// Depthwise convolution of one image and its gradients.
//
// Channels are taken in groups of kLanes, and for each group the kernel's weights (or their
// gradients) stay in registers along a row of pixels. Sums run over the taps in the order of
// TensorFlow's own op.
#ifndef ADJ_QUANT_DEPTHWISE_H_
#define ADJ_QUANT_DEPTHWISE_H_

#include "kernels.h"
#include "lanes.h"

namespace adj_quant {
namespace ADJ_ISA {

// The taps [first, last) of a window that lie inside `length` when it starts at `start`.
struct Taps {
  int64_t first, last;

  Taps(int64_t start, int64_t size, int64_t length)
      : first(start < 0 ? -start : 0), last(Min(size, length - start)) {}
};

// Outputs [first, last) of a row whose windows lie inside the image from side to side.
struct Interior {
  int64_t first, last;

  explicit Interior(const Window& w) {
    first = Min(w.out_width, (w.left + w.stride - 1) / w.stride);
    const int64_t room = w.width - w.size + w.left;
    last = room < 0 ? first : Min(w.out_width, room / w.stride + 1);
    if (last < first) last = first;
  }
};

// A pixel of the output at any place.
template <int count_or_0>
inline Lanes EdgePixel(const Window& w, const float* x, const float* kernel, int64_t top,
                       int64_t left, int lanes) {
  const int count = count_or_0 ? count_or_0 : lanes;
  const Taps vertical(top, w.size, w.height), horizontal(left, w.size, w.width);
  Lanes sum = {};
  for (int64_t i = vertical.first; i < vertical.last; ++i) {
    const float* pixels = x + ((top + i) * w.width + left) * w.channels;
    const float* weights = kernel + i * w.size * w.channels;
    for (int64_t j = horizontal.first; j < horizontal.last; ++j) {
      sum += Load(weights + j * w.channels, count) * Load(pixels + j * w.channels, count);
    }
  }
  return sum;
}

// A row of the output for one group of channels, to which all pointers are moved.
template <int count_or_0, int size>
void DepthwiseRow(const Window& w, const float* x, const float* kernel, int64_t row, int lanes,
                  float* y) {
  const int count = count_or_0 ? count_or_0 : lanes;
  const int64_t top = row * w.stride - w.top;
  const bool inside = size && top >= 0 && top + w.size <= w.height;
  const Interior interior(w);
  const int64_t first = inside ? interior.first : w.out_width;
  const int64_t last = inside ? interior.last : w.out_width;
  float* to = y + row * w.out_width * w.channels;
  const auto edge = [&](int64_t column) {
    const int64_t left = column * w.stride - w.left;
    Store(EdgePixel<count_or_0>(w, x, kernel, top, left, lanes), to + column * w.channels, count);
  };
  for (int64_t column = 0; column < first; ++column) edge(column);
  if (first < last) {
    Lanes weights[size * size + 1];
    for (int t = 0; t < size * size; ++t) weights[t] = Load(kernel + t * w.channels, count);
    const int64_t line = w.width * w.channels;
    const float* pixels = x + top * line + (first * w.stride - w.left) * w.channels;
    for (int64_t column = first; column < last; ++column, pixels += w.stride * w.channels) {
      Lanes sum = {};
      for (int i = 0; i < size; ++i) {
        for (int j = 0; j < size; ++j) {
          sum += weights[i * size + j] * Load(pixels + i * line + j * w.channels, count);
        }
      }
      Store(sum, to + column * w.channels, count);
    }
  }
  for (int64_t column = last; column < w.out_width; ++column) edge(column);
}

inline void Depthwise(const Window& w, const float* x, const float* kernel, int64_t first,
                      int64_t last, float* y) {
  for (int64_t row = first; row < last; ++row) {
    for (int64_t c = 0; c < w.channels; c += kLanes) {
      const int count = Min(kLanes, w.channels - c);
      if (count < kLanes) {
        DepthwiseRow<0, 0>(w, x + c, kernel + c, row, count, y + c);
      } else if (w.size == 3) {
        DepthwiseRow<kLanes, 3>(w, x + c, kernel + c, row, count, y + c);
      } else if (w.size == 5) {
        DepthwiseRow<kLanes, 5>(w, x + c, kernel + c, row, count, y + c);
      } else {
        DepthwiseRow<kLanes, 0>(w, x + c, kernel + c, row, count, y + c);
      }
    }
  }
}

// The outputs that read a position: output - k through tap + k * stride, for k = 0, 1, ... up to
// where the taps or the outputs end; those beyond the last output (the first few) do not count.
struct Readers {
  int64_t tap, output;

  // `at` is counted from the padding on.
  Readers(int64_t at, int64_t stride) : tap(at % stride), output(at / stride) {}

  // Of the position behind.
  void Advance(int64_t stride) {
    if (++tap == stride) {
      tap = 0;
      ++output;
    }
  }
};

template <int count_or_0>
void InputGradientRow(const Window& w, const float* dy, const float* kernel, int64_t row,
                      int lanes, float* dx) {
  const int count = count_or_0 ? count_or_0 : lanes;
  const Readers vertical(row + w.top, w.stride);
  Readers horizontal(w.left, w.stride);
  float* to = dx + row * w.width * w.channels;
  for (int64_t column = 0; column < w.width; ++column, to += w.channels) {
    Lanes sum = {};
    for (int64_t i = vertical.tap, y = vertical.output; i < w.size && y >= 0; i += w.stride, --y) {
      if (y >= w.out_height) continue;
      const float* gradients = dy + y * w.out_width * w.channels;
      const float* weights = kernel + i * w.size * w.channels;
      for (int64_t j = horizontal.tap, x = horizontal.output; j < w.size && x >= 0;
           j += w.stride, --x) {
        if (x >= w.out_width) continue;
        sum += Load(weights + j * w.channels, count) * Load(gradients + x * w.channels, count);
      }
    }
    Store(sum, to, count);
    horizontal.Advance(w.stride);
  }
}

inline void DepthwiseInputGradient(const Window& w, const float* dy, const float* kernel,
                                   int64_t first, int64_t last, float* dx) {
  for (int64_t row = first; row < last; ++row) {
    for (int64_t c = 0; c < w.channels; c += kLanes) {
      const int count = Min(kLanes, w.channels - c);
      if (count == kLanes) {
        InputGradientRow<kLanes>(w, dy + c, kernel + c, row, count, dx + c);
      } else {
        InputGradientRow<0>(w, dy + c, kernel + c, row, count, dx + c);
      }
    }
  }
}

// Adds the share of a row of the output for one group of channels and one row i of the kernel.
template <int count_or_0, int size>
void KernelGradientRow(const Window& w, const float* pixels, const float* dy, int lanes,
                       float* dkernel) {
  const int count = count_or_0 ? count_or_0 : lanes;
  const Interior interior(w);
  Lanes sums[size ? size : kLargestWindow] = {};
  const auto edge = [&](int64_t column) {
    const int64_t left = column * w.stride - w.left;
    const Taps taps(left, w.size, w.width);
    const Lanes gradient = Load(dy + column * w.channels, count);
    for (int64_t j = taps.first; j < taps.last; ++j) {
      sums[j] += gradient * Load(pixels + (left + j) * w.channels, count);
    }
  };
  const int64_t first = size ? interior.first : w.out_width;
  const int64_t last = size ? interior.last : w.out_width;
  if (first < last) {
    Lanes inner[size + 1] = {};
    for (int64_t column = first; column < last; ++column) {
      const Lanes gradient = Load(dy + column * w.channels, count);
      const float* from = pixels + (column * w.stride - w.left) * w.channels;
      for (int j = 0; j < size; ++j) inner[j] += gradient * Load(from + j * w.channels, count);
    }
    for (int j = 0; j < size; ++j) sums[j] = inner[j];
  }
  for (int64_t column = 0; column < first; ++column) edge(column);
  for (int64_t column = last; column < w.out_width; ++column) edge(column);
  for (int64_t j = 0; j < w.size; ++j, dkernel += w.channels) {
    Store(Load(dkernel, count) + sums[j], dkernel, count);
  }
}

inline void DepthwiseKernelGradient(const Window& w, const float* x, const float* dy,
                                    int64_t first, int64_t last, float* dkernel) {
  for (int64_t row = 0; row < w.out_height; ++row) {
    const int64_t top = row * w.stride - w.top;
    const Taps vertical(top, w.size, w.height);
    for (int64_t c = first; c < last; c += kLanes) {
      const int count = Min(kLanes, last - c);
      const float* gradients = dy + row * w.out_width * w.channels + c;
      for (int64_t i = vertical.first; i < vertical.last; ++i) {
        const float* pixels = x + (top + i) * w.width * w.channels + c;
        float* to = dkernel + i * w.size * w.channels + c;
        // The order of a sum depends on the channel alone, not on the number of lanes.
        const bool in_order = c / 16 * 16 + 16 > w.channels;
        if (count < kLanes) {
          KernelGradientRow<0, 0>(w, pixels, gradients, count, to);
        } else if (w.size == 3 && !in_order) {
          KernelGradientRow<kLanes, 3>(w, pixels, gradients, count, to);
        } else if (w.size == 5 && !in_order) {
          KernelGradientRow<kLanes, 5>(w, pixels, gradients, count, to);
        } else {
          KernelGradientRow<kLanes, 0>(w, pixels, gradients, count, to);
        }
      }
    }
  }
}

}  // namespace ADJ_ISA
}  // namespace adj_quant

#endif  // ADJ_QUANT_DEPTHWISE_H_
