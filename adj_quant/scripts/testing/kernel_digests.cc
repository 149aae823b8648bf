// Prints a digest of what each kernel computes of fixed inputs, to compare processors.

#include <stdio.h>

#include <vector>

#include "kernels.h"

namespace {

using adj_quant::Activation;
using adj_quant::baseline::kKernels;
using Values = std::vector<float>;

constexpr int64_t kRows = 37, kChannels = 21, kSide = 9, kSize = 3;

// The same values on every machine: sums and products of small whole numbers are exact.
Values Random(int64_t count, uint32_t seed, float scale) {
  Values values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = (static_cast<int32_t>(seed >> 8) - (1 << 23)) * scale / (1 << 23);
  }
  return values;
}

void Print(const char* name, const Values& values) {
  uint64_t digest = 14695981039346656037u;  // FNV-1a.
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (size_t i = 0; i < values.size() * sizeof(float); ++i) {
    digest = (digest ^ bytes[i]) * 1099511628211u;
  }
  printf("%s %016llx\n", name, static_cast<unsigned long long>(digest));
}

Values GridOf(uint32_t seed) {
  Values grid = Random(3 * kChannels, seed, 1.0f);
  for (int64_t c = 0; c < kChannels; ++c) {
    grid[c] = 0.01f + (grid[c] + 1.0f) / 64;      // Step.
    grid[kChannels + c] = -static_cast<float>(c);  // Lowest.
    grid[2 * kChannels + c] = 31.0f - c;           // Highest.
  }
  return grid;
}

void PrintActivations() {
  const Values x = Random(kRows * kChannels, 1, 4.0f), skip = Random(kRows * kChannels, 2, 1.0f),
               dy = Random(kRows * kChannels, 3, 1.0f), bias = Random(kChannels, 4, 1.0f),
               in = GridOf(5), out = GridOf(6);
  const char* names[] = {"identity", "relu6", "swish", "sigmoid"};
  for (int function = 0; function < 4; ++function) {
    Activation activation;
    activation.function = static_cast<adj_quant::Function>(function);
    activation.channels = kChannels;
    activation.bias = bias.data();
    activation.in.values = in.data();
    activation.out.values = out.data();
    activation.in.stride = activation.out.stride = kChannels;
    Values y(kRows * kChannels), sums(kChannels), dx(kRows * kChannels),
        all(adj_quant::kSums * kChannels);
    kKernels.activate(activation, x.data(), nullptr, kRows, y.data(), sums.data());
    Print(names[function], y);
    Print("  sums", sums);
    kKernels.activate_gradient(activation, x.data(), nullptr, dy.data(), nullptr, kRows, dx.data(),
                               all.data());
    Print("  gradient", dx);
    Print("  sums of the gradient", all);
  }
  Activation sum;
  sum.channels = kChannels;
  sum.out.values = out.data();
  sum.out.stride = kChannels;
  Values y(kRows * kChannels);
  kKernels.activate(sum, x.data(), skip.data(), kRows, y.data(), nullptr);
  Print("skip", y);
}

void PrintDepthwise(int64_t stride) {
  const int64_t out_side = (kSide + stride - 1) / stride;
  const int64_t before = ((out_side - 1) * stride + kSize - kSide) / 2;
  const adj_quant::Window window = {kSide, kSide, kChannels, kSize, stride,
                                    before, before, out_side, out_side};
  const Values x = Random(kSide * kSide * kChannels, 7, 1.0f),
               kernel = Random(kSize * kSize * kChannels, 8, 1.0f),
               dy = Random(out_side * out_side * kChannels, 9, 1.0f);
  Values y(dy.size()), dx(x.size()), dkernel(kernel.size());
  kKernels.depthwise(window, x.data(), kernel.data(), 0, out_side, y.data());
  Print("depthwise", y);
  kKernels.depthwise_input_gradient(window, dy.data(), kernel.data(), 0, kSide, dx.data());
  Print("  gradient of the input", dx);
  kKernels.depthwise_kernel_gradient(window, x.data(), dy.data(), 0, kChannels, dkernel.data());
  Print("  gradient of the kernel", dkernel);
}

}  // namespace

int main() {
  PrintActivations();
  PrintDepthwise(1);
  PrintDepthwise(2);
  return 0;
}
