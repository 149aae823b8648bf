// Bias, quantiser, nonlinearity, gate, skip and quantiser in one pass, and their gradients in one.
//
// Rows are taken sixteen at a time and channels in groups of kLanes: what belongs to a channel stays
// in registers for sixteen rows, and those rows stay in the nearest cache.
#ifndef ADJ_QUANT_ACTIVATE_H_
#define ADJ_QUANT_ACTIVATE_H_

#include "kernels.h"
#include "lanes.h"

namespace adj_quant {
namespace ADJ_ISA {

constexpr int64_t kTile = 16;  // Rows.

struct LaneGrid {
  Lanes step, lowest, highest;

  LaneGrid() {}

  LaneGrid(const Grid& grid, int64_t channel, int count) {
    const float* values = grid.values + channel;
    // Lanes of no channel have the step 1: they must not divide by zero.
    step = Fill(1.0f);
    memcpy(&step, values, count * sizeof(float));
    lowest = Load(values + grid.stride, count);
    highest = Load(values + 2 * grid.stride, count);
  }

  Lanes operator()(Lanes x) const { return Clip(Rint(x / step), lowest, highest) * step; }
};

// Three sums over the rows for the gradient of a grid.
struct GridSums {
  Lanes step = {}, lowest = {}, highest = {};

  // The gradient that passes to x where y = grid(x) has the gradient dy. Roundings pass it on, a
  // clip hands it to the bound that it hits.
  Lanes Pass(const LaneGrid& grid, Lanes x, Lanes dy) {
    const Lanes scaled = x / grid.step;
    const Lanes code = Rint(scaled);
    const Mask below = code < grid.lowest, above = code > grid.highest;
    const Lanes zero = {};
    const Lanes outside = dy * grid.step;
    step += dy * (below ? grid.lowest : above ? grid.highest : code - scaled);
    lowest += below ? outside : zero;
    highest += above ? outside : zero;
    return below | above ? zero : dy;
  }

  void AddTo(float* sums, int64_t channels, int count) const {
    const Lanes all[] = {step, lowest, highest};
    for (int i = 0; i < 3; ++i, sums += channels) Store(Load(sums, count) + all[i], sums, count);
  }
};

// f(q), and the factor that its gradient has.
template <Function function>
inline Lanes Apply(Lanes q) {
  if (function == kRelu6) return Clip(q, Lanes{}, Fill(6.0f));
  if (function == kSwish) return q * Sigmoid(q);
  if (function == kSigmoid) return Sigmoid(q);
  return q;
}

template <Function function>
inline Lanes Slope(Lanes q) {
  if (function == kRelu6) return q > 0.0f & q < 6.0f ? Fill(1.0f) : Lanes{};
  const Lanes s = Sigmoid(q);
  if (function == kSwish) return s + q * (s * (1.0f - s));
  return s * (1.0f - s);
}

enum Parts { kHasBias = 1, kHasIn = 2, kHasGate = 4, kHasSkip = 8, kHasOut = 16 };

int PartsOf(const Activation& a, const float* skip) {
  return (a.bias ? kHasBias : 0) | (a.in.values ? kHasIn : 0) | (a.gate ? kHasGate : 0) |
         (skip ? kHasSkip : 0) | (a.out.values ? kHasOut : 0);
}

// What the rows of a group of channels share.
template <int parts>
struct ChannelGroup {
  Lanes bias = {}, gate = {};
  LaneGrid in, out;

  ChannelGroup(const Activation& a, int64_t channel, int count) {
    if (parts & kHasBias) bias = Load(a.bias + channel, count);
    if (parts & kHasGate) gate = Load(a.gate + channel, count);
    if (parts & kHasIn) in = LaneGrid(a.in, channel, count);
    if (parts & kHasOut) out = LaneGrid(a.out, channel, count);
  }
};

template <Function function, int parts>
void Forward(const Activation& a, const float* x, const float* skip, int64_t rows, float* y,
             float* sums) {
  const int64_t channels = a.channels;
  for (int64_t tile = 0; tile < rows; tile += kTile) {
    const int64_t end = Min(rows, tile + kTile);
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      const int count = Min(kLanes, channels - channel);
      const ChannelGroup<parts> group(a, channel, count);
      Lanes sum = sums ? Load(sums + channel, count) : Lanes{};
      for (int64_t row = tile; row < end; ++row) {
        const int64_t at = row * channels + channel;
        Lanes value = Load(x + at, count);
        if (parts & kHasBias) value += group.bias;
        if (parts & kHasIn) value = group.in(value);
        value = Apply<function>(value);
        if (parts & kHasGate) value *= group.gate;
        if (parts & kHasSkip) value += Load(skip + at, count);
        if (parts & kHasOut) value = group.out(value);
        if (y) Store(value, y + at, count);
        sum += value;
      }
      if (sums) Store(sum, sums + channel, count);
    }
  }
}

template <Function function, int parts>
void Backward(const Activation& a, const float* x, const float* skip, const float* dy,
              const float* constant, int64_t rows, float* dx, float* sums) {
  const int64_t channels = a.channels;
  for (int64_t tile = 0; tile < rows; tile += kTile) {
    const int64_t end = Min(rows, tile + kTile);
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      const int count = Min(kLanes, channels - channel);
      const ChannelGroup<parts> group(a, channel, count);
      const Lanes everywhere = constant ? Load(constant + channel, count) : Lanes{};
      GridSums in_sums, out_sums;
      Lanes bias_sum = {}, gate_sum = {};
      for (int64_t row = tile; row < end; ++row) {
        const int64_t at = row * channels + channel;
        Lanes gradient = everywhere;
        if (dy) gradient += Load(dy + at, count);
        Lanes before = Load(x + at, count);
        if (parts & kHasBias) before += group.bias;
        const Lanes quantised = parts & kHasIn ? group.in(before) : before;
        if (parts & (kHasOut | kHasGate)) {
          Lanes value = Apply<function>(quantised);
          const Lanes ungated = value;
          if (parts & kHasGate) value *= group.gate;
          if (parts & kHasSkip) value += Load(skip + at, count);
          if (parts & kHasOut) gradient = out_sums.Pass(group.out, value, gradient);
          if (parts & kHasGate) {
            gate_sum += gradient * ungated;
            gradient *= group.gate;
          }
        }
        if (function != kIdentity) gradient *= Slope<function>(quantised);
        if (parts & kHasIn) gradient = in_sums.Pass(group.in, before, gradient);
        bias_sum += gradient;
        Store(gradient, dx + at, count);
      }
      float* to = sums + channel;
      if (parts & kHasBias) {
        float* bias = to + kBias * channels;
        Store(Load(bias, count) + bias_sum, bias, count);
      }
      if (parts & kHasIn) in_sums.AddTo(to + kIn * channels, channels, count);
      if (parts & kHasOut) out_sums.AddTo(to + kOut * channels, channels, count);
      if (parts & kHasGate) {
        float* gate = to + kGate * channels;
        Store(Load(gate, count) + gate_sum, gate, count);
      }
    }
  }
}

// Calls Worker::Run<function, parts>(arguments...) for the combination that is there. `fixed` is
// what is known of the parts, bit by bit.
template <template <Function, int> class Worker, Function function, int fixed, int open>
struct Choose {
  template <typename... Arguments>
  static void Run(int parts, Arguments... arguments) {
    constexpr int bit = open & -open;
    if (parts & bit) {
      Choose<Worker, function, fixed | bit, open & ~bit>::Run(parts, arguments...);
    } else {
      Choose<Worker, function, fixed, open & ~bit>::Run(parts, arguments...);
    }
  }
};

template <template <Function, int> class Worker, Function function, int fixed>
struct Choose<Worker, function, fixed, 0> {
  template <typename... Arguments>
  static void Run(int, Arguments... arguments) {
    Worker<function, fixed>::Run(arguments...);
  }
};

template <template <Function, int> class Worker, typename... Arguments>
void Dispatch(const Activation& a, const float* skip, Arguments... arguments) {
  constexpr int plain = kHasBias | kHasIn | kHasOut;
  const int parts = PartsOf(a, skip);
  switch (a.function) {
    case kIdentity:
      Choose<Worker, kIdentity, 0, kHasBias | kHasGate | kHasSkip | kHasOut>::Run(
          parts, arguments...);
      break;
    case kRelu6: Choose<Worker, kRelu6, 0, plain>::Run(parts, arguments...); break;
    case kSwish: Choose<Worker, kSwish, 0, plain>::Run(parts, arguments...); break;
    case kSigmoid: Choose<Worker, kSigmoid, 0, plain>::Run(parts, arguments...); break;
  }
}

template <Function function, int parts>
struct ForwardWorker {
  static void Run(const Activation* a, const float* x, const float* skip, int64_t rows, float* y,
                  float* sums) {
    Forward<function, parts>(*a, x, skip, rows, y, sums);
  }
};

template <Function function, int parts>
struct BackwardWorker {
  static void Run(const Activation* a, const float* x, const float* skip, const float* dy,
                  const float* constant, int64_t rows, float* dx, float* sums) {
    Backward<function, parts>(*a, x, skip, dy, constant, rows, dx, sums);
  }
};

void Activate(const Activation& a, const float* x, const float* skip, int64_t rows, float* y,
              float* sums) {
  Dispatch<ForwardWorker>(a, skip, &a, x, skip, rows, y, sums);
}

void ActivateGradient(const Activation& a, const float* x, const float* skip, const float* dy,
                      const float* constant, int64_t rows, float* dx, float* sums) {
  Dispatch<BackwardWorker>(a, skip, &a, x, skip, dy, constant, rows, dx, sums);
}

}  // namespace ADJ_ISA
}  // namespace adj_quant

#endif  // ADJ_QUANT_ACTIVATE_H_
