// The ops as TensorFlow sees them: shapes, memory, division of the work.
//
// Work is cut into units that depend on shapes alone and whose sums are added in their order, so
// results do not depend on the number of threads.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace adj_quant {
namespace {

using tensorflow::DEVICE_CPU;
using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::OpOutputList;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;

constexpr int64_t kUnit = 1 << 15;  // Values in a unit of work, about.

// Rows of a unit: about kUnit values, in whole tiles of the kernels, which have 16 rows.
int64_t TileRows(int64_t channels) {
  return std::max<int64_t>(1, kUnit / std::max<int64_t>(1, channels) / 16) * 16;
}

// Those compiled for the instructions of that name; null where this processor lacks them.
const Kernels* FindKernels(const std::string& name) {
#if defined(__x86_64__)
  if (name == "avx512" && __builtin_cpu_supports("avx512f")) return &avx512::kKernels;
  if (name == "avx2" && __builtin_cpu_supports("avx2")) return &avx2::kKernels;
#endif
  return name == "baseline" ? &baseline::kKernels : nullptr;
}

const Kernels* BestKernels() {
  for (const char* name : {"avx512", "avx2"}) {
    if (const Kernels* kernels = FindKernels(name)) return kernels;
  }
  return &baseline::kKernels;
}

// What all ops run: the best for this machine unless AdjQuantUse asked for less.
std::atomic<const Kernels*> chosen_kernels{BestKernels()};

const Kernels& ChosenKernels() { return *chosen_kernels; }

// Calls work(unit) for 0 <= unit < units, on this thread and those of TensorFlow that are free.
//
// A std::function without arguments is all that may cross into TensorFlow's library, which was
// compiled with an older standard library.
template <typename Work>
void ForEachUnit(OpKernelContext* context, int64_t units, const Work& work) {
  struct Shared {
    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable all_done;
    int64_t done = 0;
  };
  const auto& threads = *context->device()->tensorflow_cpu_worker_threads();
  const int64_t helpers = std::min<int64_t>(threads.num_threads, units) - 1;
  if (helpers <= 0) {
    for (int64_t unit = 0; unit < units; ++unit) work(unit);
    return;
  }
  auto shared = std::make_shared<Shared>();
  // A helper that starts late finds nothing to do and does not touch `work`.
  auto help = [shared, units, &work]() {
    int64_t mine = 0;
    for (int64_t unit; (unit = shared->next.fetch_add(1)) < units; ++mine) work(unit);
    if (mine == 0) return;
    std::lock_guard<std::mutex> lock(shared->mutex);
    shared->done += mine;
    if (shared->done == units) shared->all_done.notify_one();
  };
  for (int64_t i = 0; i < helpers; ++i) threads.workers->Schedule(help);
  help();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all_done.wait(lock, [&]() { return shared->done == units; });
}

// Adds the partial sums of all units, in their order, to `total`.
void AddUp(const std::vector<float>& partial, int64_t size, float* total) {
  std::fill(total, total + size, 0.0f);
  for (size_t start = 0; start < partial.size(); start += size) {
    for (int64_t i = 0; i < size; ++i) total[i] += partial[start + i];
  }
}

Grid GridOf(const Tensor& tensor, int64_t first = 0) {
  Grid grid;
  grid.values = tensor.flat<float>().data() + first;
  grid.stride = tensor.dim_size(1);
  return grid;
}

const float* Data(const Tensor& tensor) { return tensor.flat<float>().data(); }
float* Data(Tensor* tensor) { return tensor->flat<float>().data(); }

// ---- AdjActivate ----

// The inputs of AdjActivate and of its gradient, checked.
struct ActivateInputs {
  Activation activation;
  const Tensor* x = nullptr;
  const float* skip = nullptr;
  const Tensor* gate = nullptr;
  int64_t images = 1, rows = 0, units = 0, unit_rows = 0;  // Rows of all images together.
  bool by_image = false;

  Status Read(OpKernelContext* context, Function function, bool has_mean) {
    OpInputList bias, in_grid, gates, skips, out_grid;
    TF_RETURN_IF_ERROR(context->input("x", &x));
    TF_RETURN_IF_ERROR(context->input_list("bias", &bias));
    TF_RETURN_IF_ERROR(context->input_list("in_grid", &in_grid));
    TF_RETURN_IF_ERROR(context->input_list("gate", &gates));
    TF_RETURN_IF_ERROR(context->input_list("skip", &skips));
    TF_RETURN_IF_ERROR(context->input_list("out_grid", &out_grid));
    if (x->dims() < 1) return InvalidArgument("x must have channels");
    const int64_t channels = x->dim_size(x->dims() - 1);
    activation.function = function;
    activation.channels = channels;
    if (bias.size()) {
      if (bias[0].NumElements() != channels) return InvalidArgument("bias must be [C]");
      activation.bias = Data(bias[0]);
    }
    for (const OpInputList* list : {&in_grid, &out_grid}) {
      if (!list->size()) continue;
      const Tensor& grid = (*list)[0];
      if (grid.dims() != 2 || grid.dim_size(0) != 3 || grid.dim_size(1) != channels) {
        return InvalidArgument("a grid must be [3, ", channels, "], not ",
                               grid.shape().DebugString());
      }
      (list == &in_grid ? activation.in : activation.out) = GridOf(grid);
    }
    if (skips.size()) {
      if (skips[0].shape() != x->shape()) return InvalidArgument("skip must have the shape of x");
      skip = Data(skips[0]);
    }
    if ((gates.size() || skip) && (function != kIdentity || activation.in.values)) {
      return InvalidArgument("gate and skip go with the identity, without in_grid");
    }
    rows = channels ? x->NumElements() / channels : 0;
    by_image = has_mean || gates.size();
    if (by_image) {
      if (x->dims() != 4) return InvalidArgument("x must be [N, H, W, C]");
      images = x->dim_size(0);
      if (gates.size()) {
        gate = &gates[0];
        if (gate->NumElements() != images * channels) {
          return InvalidArgument("gate must be [N, 1, 1, C]");
        }
      }
      units = images;
      unit_rows = images ? rows / images : 0;
    } else {
      unit_rows = TileRows(channels);
      units = (rows + unit_rows - 1) / unit_rows;
    }
    return Status();
  }

  // The rows of a unit: their first value and their number.
  int64_t Start(int64_t unit) const { return unit * unit_rows * activation.channels; }
  int64_t Rows(int64_t unit) const { return std::min(unit_rows, rows - unit * unit_rows); }

  Activation Of(int64_t unit) const {
    Activation found = activation;
    if (gate) found.gate = Data(*gate) + unit * activation.channels;
    return found;
  }
};

Function FunctionOf(OpKernelConstruction* context) {
  std::string name;
  if (!context->GetAttr("function", &name).ok()) return kIdentity;
  return name == "swish" ? kSwish : name == "sigmoid" ? kSigmoid : name == "relu6" ? kRelu6
                                                                                   : kIdentity;
}

class ActivateOp : public OpKernel {
 public:
  explicit ActivateOp(OpKernelConstruction* context)
      : OpKernel(context), function_(FunctionOf(context)) {
    OP_REQUIRES_OK(context, context->GetAttr("Y", &has_y_));
    OP_REQUIRES_OK(context, context->GetAttr("M", &has_mean_));
  }

  void Compute(OpKernelContext* context) override {
    ActivateInputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, function_, has_mean_));
    OpOutputList ys, means;
    OP_REQUIRES_OK(context, context->output_list("y", &ys));
    OP_REQUIRES_OK(context, context->output_list("mean", &means));
    Tensor *y = nullptr, *mean = nullptr;
    if (has_y_) {
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0,
                                                                        inputs.x->shape(), &y));
    }
    const int64_t channels = inputs.activation.channels;
    if (has_mean_) {
      const TensorShape shape({inputs.images, 1, 1, channels});
      OP_REQUIRES_OK(context, means.allocate(0, shape, &mean));
    }
    ForEachUnit(context, inputs.units, [&](int64_t unit) {
      const int64_t start = inputs.Start(unit), rows = inputs.Rows(unit);
      float* sums = mean ? Data(mean) + unit * channels : nullptr;
      if (sums) std::fill(sums, sums + channels, 0.0f);
      ChosenKernels().activate(inputs.Of(unit), Data(*inputs.x) + start,
                             inputs.skip ? inputs.skip + start : nullptr, rows,
                             y ? Data(y) + start : nullptr, sums);
      for (int64_t i = 0; sums && i < channels; ++i) sums[i] /= rows;
    });
  }

 private:
  const Function function_;
  int has_y_ = 0, has_mean_ = 0;
};

class ActivateGradOp : public OpKernel {
 public:
  explicit ActivateGradOp(OpKernelConstruction* context)
      : OpKernel(context), function_(FunctionOf(context)) {
    OP_REQUIRES_OK(context, context->GetAttr("Y", &has_y_));
    OP_REQUIRES_OK(context, context->GetAttr("M", &has_mean_));
  }

  void Compute(OpKernelContext* context) override {
    ActivateInputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, function_, has_mean_));
    OpInputList dys, dmeans;
    OP_REQUIRES_OK(context, context->input_list("dy", &dys));
    OP_REQUIRES_OK(context, context->input_list("dmean", &dmeans));
    const int64_t channels = inputs.activation.channels;
    OP_REQUIRES(context, !has_y_ || dys[0].shape() == inputs.x->shape(),
                InvalidArgument("dy must have the shape of x"));
    OP_REQUIRES(context, !has_mean_ || dmeans[0].NumElements() == inputs.images * channels,
                InvalidArgument("dmean must be [N, 1, 1, C]"));
    Tensor* dx = nullptr;
    if (has_y_) {
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0,
                                                                        inputs.x->shape(), &dx));
    } else {
      OP_REQUIRES_OK(context, context->allocate_output(0, inputs.x->shape(), &dx));
    }
    std::vector<float> partial(inputs.units * kSums * channels, 0.0f);
    ForEachUnit(context, inputs.units, [&](int64_t unit) {
      const int64_t start = inputs.Start(unit), rows = inputs.Rows(unit);
      std::vector<float> share(has_mean_ ? channels : 0);
      for (int64_t i = 0; i < static_cast<int64_t>(share.size()); ++i) {
        share[i] = Data(dmeans[0])[unit * channels + i] / rows;
      }
      ChosenKernels().activate_gradient(
          inputs.Of(unit), Data(*inputs.x) + start, inputs.skip ? inputs.skip + start : nullptr,
          has_y_ ? Data(dys[0]) + start : nullptr, has_mean_ ? share.data() : nullptr, rows,
          Data(dx) + start, &partial[unit * kSums * channels]);
    });
    WriteSums(context, inputs, partial);
  }

 private:
  void WriteSums(OpKernelContext* context, const ActivateInputs& inputs,
                 const std::vector<float>& partial) {
    const int64_t channels = inputs.activation.channels;
    std::vector<float> sums(kSums * channels);
    AddUp(partial, kSums * channels, sums.data());
    const auto write = [&](const char* name, bool present, int sum, const TensorShape& shape) {
      if (!present) return Status();
      OpOutputList list;
      Tensor* output = nullptr;
      TF_RETURN_IF_ERROR(context->output_list(name, &list));
      TF_RETURN_IF_ERROR(list.allocate(0, shape, &output));
      std::copy_n(&sums[sum * channels], output->NumElements(), Data(output));
      return Status();
    };
    const Activation& a = inputs.activation;
    const TensorShape row({channels}), grid({3, channels});
    OP_REQUIRES_OK(context, write("dbias", a.bias != nullptr, kBias, row));
    OP_REQUIRES_OK(context, write("din_grid", a.in.values != nullptr, kIn, grid));
    OP_REQUIRES_OK(context, write("dout_grid", a.out.values != nullptr, kOut, grid));
    if (!inputs.gate) return;
    OpOutputList list;
    Tensor* dgate = nullptr;
    OP_REQUIRES_OK(context, context->output_list("dgate", &list));
    OP_REQUIRES_OK(context, list.allocate(0, inputs.gate->shape(), &dgate));
    for (int64_t image = 0; image < inputs.images; ++image) {
      std::copy_n(&partial[(image * kSums + kGate) * channels], channels,
                  Data(dgate) + image * channels);
    }
  }

  const Function function_;
  int has_y_ = 0, has_mean_ = 0;
};

Status UnchangedShape(InferenceContext* c) {
  std::vector<tensorflow::shape_inference::ShapeHandle> x, y(1), mean(1);
  TF_RETURN_IF_ERROR(c->input("x", &x));
  tensorflow::int64 pooled = 0, kept = 0;
  TF_RETURN_IF_ERROR(c->GetAttr("M", &pooled));
  TF_RETURN_IF_ERROR(c->GetAttr("Y", &kept));
  if (kept) c->set_output(0, x[0]);
  if (pooled) {
    tensorflow::shape_inference::ShapeHandle shape;
    TF_RETURN_IF_ERROR(c->WithRank(x[0], 4, &shape));
    c->set_output(kept ? 1 : 0, c->MakeShape({c->Dim(shape, 0), c->MakeDim(1), c->MakeDim(1),
                                              c->Dim(shape, 3)}));
  }
  return Status();
}

// Each output of the gradient has the shape of an input.
Status GradientShapes(InferenceContext* c) {
  int output = 0;
  for (const char* name : {"x", "bias", "in_grid", "gate", "out_grid"}) {
    std::vector<tensorflow::shape_inference::ShapeHandle> shapes;
    TF_RETURN_IF_ERROR(c->input(name, &shapes));
    for (const auto& shape : shapes) c->set_output(output++, shape);
  }
  return Status();
}

// Names of lists: B bias, I in_grid, G gate, S skip, O out_grid, Y y, M mean; each has 0 or 1 parts.
REGISTER_OP("AdjActivate")
    .Input("x: float")
    .Input("bias: B * float")
    .Input("in_grid: I * float")
    .Input("gate: G * float")
    .Input("skip: S * float")
    .Input("out_grid: O * float")
    .Output("y: Y * float")
    .Output("mean: M * float")
    .Attr("function: {'identity', 'relu6', 'swish', 'sigmoid'}")
    .Attr("B: int >= 0")
    .Attr("I: int >= 0")
    .Attr("G: int >= 0")
    .Attr("S: int >= 0")
    .Attr("O: int >= 0")
    .Attr("Y: int >= 0")
    .Attr("M: int >= 0")
    .SetShapeFn(UnchangedShape);

REGISTER_OP("AdjActivateGrad")
    .Input("dy: Y * float")
    .Input("dmean: M * float")
    .Input("x: float")
    .Input("bias: B * float")
    .Input("in_grid: I * float")
    .Input("gate: G * float")
    .Input("skip: S * float")
    .Input("out_grid: O * float")
    .Output("dx: float")
    .Output("dbias: B * float")
    .Output("din_grid: I * float")
    .Output("dgate: G * float")
    .Output("dout_grid: O * float")
    .Attr("function: {'identity', 'relu6', 'swish', 'sigmoid'}")
    .Attr("B: int >= 0")
    .Attr("I: int >= 0")
    .Attr("G: int >= 0")
    .Attr("S: int >= 0")
    .Attr("O: int >= 0")
    .Attr("Y: int >= 0")
    .Attr("M: int >= 0")
    .SetShapeFn(GradientShapes);

REGISTER_KERNEL_BUILDER(Name("AdjActivate").Device(DEVICE_CPU), ActivateOp);
REGISTER_KERNEL_BUILDER(Name("AdjActivateGrad").Device(DEVICE_CPU), ActivateGradOp);

// ---- AdjQuantizePieces: matrices [rows, channels] one after another in a vector ----
//
// The grid of a piece begins at its first channel; a piece whose first channel is -1 stays as it is.

class PiecesOp : public OpKernel {
 public:
  explicit PiecesOp(OpKernelConstruction* context) : OpKernel(context) {
    std::vector<tensorflow::int64> rows, channels, first;
    OP_REQUIRES_OK(context, context->GetAttr("rows", &rows));
    OP_REQUIRES_OK(context, context->GetAttr("channels", &channels));
    OP_REQUIRES_OK(context, context->GetAttr("first_channels", &first));
    OP_REQUIRES(context, rows.size() == channels.size() && rows.size() == first.size(),
                InvalidArgument("rows, channels and first_channels must be of one length"));
    for (size_t piece = 0; piece < rows.size(); ++piece) {
      const int64_t most = TileRows(channels[piece]);
      for (int64_t row = 0; row < rows[piece]; row += most) {
        units_.push_back({size_ + row * channels[piece], std::min<int64_t>(most, rows[piece] - row),
                          channels[piece], first[piece], sums_size_});
        if (first[piece] >= 0) sums_size_ += kSums * channels[piece];
      }
      size_ += rows[piece] * channels[piece];
      if (first[piece] >= 0) channels_ = std::max<int64_t>(channels_, first[piece] + channels[piece]);
    }
  }

 protected:
  struct Unit {
    int64_t start, rows, channels, first_channel, first_sum;
    bool quantised() const { return first_channel >= 0; }
  };

  Status Check(const Tensor& x, const Tensor& grid) const {
    if (x.NumElements() != size_) return InvalidArgument("the pieces have ", size_, " values");
    if (grid.dims() != 2 || grid.dim_size(0) != 3 || grid.dim_size(1) < channels_) {
      return InvalidArgument("grid must be [3, ", channels_, " or more]");
    }
    return Status();
  }

  Activation Of(const Unit& unit, const Tensor& grid) const {
    Activation found;
    found.channels = unit.channels;
    if (unit.quantised()) found.out = GridOf(grid, unit.first_channel);
    return found;
  }

  std::vector<Unit> units_;
  int64_t size_ = 0, channels_ = 0, sums_size_ = 0;  // The grid may have more channels.
};

class QuantizePiecesOp : public PiecesOp {
 public:
  using PiecesOp::PiecesOp;

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &grid = context->input(1);
    OP_REQUIRES_OK(context, Check(x, grid));
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    ForEachUnit(context, units_.size(), [&](int64_t i) {
      const Unit& unit = units_[i];
      ChosenKernels().activate(Of(unit, grid), Data(x) + unit.start, nullptr, unit.rows,
                             Data(y) + unit.start, nullptr);
    });
  }
};

class QuantizePiecesGradOp : public PiecesOp {
 public:
  using PiecesOp::PiecesOp;

  void Compute(OpKernelContext* context) override {
    const Tensor &dy = context->input(0), &x = context->input(1), &grid = context->input(2);
    OP_REQUIRES_OK(context, Check(x, grid));
    OP_REQUIRES(context, dy.shape() == x.shape(), InvalidArgument("dy must be as x"));
    Tensor *dx = nullptr, *dgrid = nullptr;
    OP_REQUIRES_OK(context,
                   context->forward_input_or_allocate_output({0}, 0, x.shape(), &dx));
    OP_REQUIRES_OK(context, context->allocate_output(1, grid.shape(), &dgrid));
    std::vector<float> sums(sums_size_, 0.0f);
    ForEachUnit(context, units_.size(), [&](int64_t i) {
      const Unit& unit = units_[i];
      ChosenKernels().activate_gradient(
          Of(unit, grid), Data(x) + unit.start, nullptr, Data(dy) + unit.start, nullptr, unit.rows,
          Data(dx) + unit.start, sums.data() + unit.first_sum);
    });
    std::fill(Data(dgrid), Data(dgrid) + dgrid->NumElements(), 0.0f);
    for (const Unit& unit : units_) {
      if (!unit.quantised()) continue;
      for (int part = 0; part < 3; ++part) {
        const float* from = &sums[unit.first_sum + (kOut + part) * unit.channels];
        float* to = Data(dgrid) + part * grid.dim_size(1) + unit.first_channel;
        for (int64_t c = 0; c < unit.channels; ++c) to[c] += from[c];
      }
    }
  }
};

REGISTER_OP("AdjQuantizePieces")
    .Input("x: float")
    .Input("grid: float")
    .Output("y: float")
    .Attr("rows: list(int)")
    .Attr("channels: list(int)")
    .Attr("first_channels: list(int)")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape);

REGISTER_OP("AdjQuantizePiecesGrad")
    .Input("dy: float")
    .Input("x: float")
    .Input("grid: float")
    .Output("dx: float")
    .Output("dgrid: float")
    .Attr("rows: list(int)")
    .Attr("channels: list(int)")
    .Attr("first_channels: list(int)")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(1));
      c->set_output(1, c->input(2));
      return Status();
    });

REGISTER_KERNEL_BUILDER(Name("AdjQuantizePieces").Device(DEVICE_CPU), QuantizePiecesOp);
REGISTER_KERNEL_BUILDER(Name("AdjQuantizePiecesGrad").Device(DEVICE_CPU), QuantizePiecesGradOp);

// ---- AdjDepthwise: depthwise convolution, SAME padding, one output for each channel ----

// SAME padding of one axis: its length after the convolution, and the zeros before its first value.
void PadSame(int64_t length, int64_t size, int64_t stride, int64_t* out_length, int64_t* before) {
  *out_length = (length + stride - 1) / stride;
  *before = std::max<int64_t>(0, (*out_length - 1) * stride + size - length) / 2;
}

// Of the image's shape [N, H, W, C] and the kernel's [k, k, C, 1].
Status WindowOf(const TensorShape& image, const Tensor& kernel, int64_t stride, Window* window) {
  if (image.dims() != 4) return InvalidArgument("images must be [N, H, W, C]");
  const int64_t size = kernel.dims() == 4 ? kernel.dim_size(0) : 0;
  if (size < 1 || size > kLargestWindow || kernel.dim_size(1) != size ||
      kernel.dim_size(2) != image.dim_size(3) || kernel.dim_size(3) != 1) {
    return InvalidArgument("the kernel must be [k, k, C, 1] with k <= ", kLargestWindow, ", not ",
                           kernel.shape().DebugString());
  }
  window->height = image.dim_size(1);
  window->width = image.dim_size(2);
  window->channels = image.dim_size(3);
  window->size = size;
  window->stride = stride;
  PadSame(window->height, size, stride, &window->out_height, &window->top);
  PadSame(window->width, size, stride, &window->out_width, &window->left);
  return Status();
}

// Cuts `rows` rows of each image into bands of about kUnit values.
struct Bands {
  int64_t rows, band, count;

  Bands(int64_t rows_of_image, int64_t row_size)
      : rows(rows_of_image), band(std::max<int64_t>(1, kUnit / std::max<int64_t>(1, row_size))),
        count((rows + band - 1) / band) {}

  int64_t First(int64_t unit) const { return unit % count * band; }
  int64_t Last(int64_t unit) const { return std::min(rows, First(unit) + band); }
};

class DepthwiseOp : public OpKernel {
 public:
  explicit DepthwiseOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &kernel = context->input(1);
    Window w;
    OP_REQUIRES_OK(context, WindowOf(x.shape(), kernel, stride_, &w));
    const int64_t images = x.dim_size(0);
    Tensor* y = nullptr;
    const TensorShape shape({images, w.out_height, w.out_width, w.channels});
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &y));
    const Bands bands(w.out_height, w.out_width * w.channels);
    ForEachUnit(context, images * bands.count, [&](int64_t unit) {
      const int64_t image = unit / bands.count;
      ChosenKernels().depthwise(
          w, Data(x) + image * w.height * w.width * w.channels, Data(kernel), bands.First(unit),
          bands.Last(unit), Data(y) + image * w.out_height * w.out_width * w.channels);
    });
  }

 private:
  int stride_ = 1;
};

class DepthwiseInputGradOp : public OpKernel {
 public:
  explicit DepthwiseInputGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &dy = context->input(0), &x = context->input(1), &kernel = context->input(2);
    Window w;
    OP_REQUIRES_OK(context, WindowOf(x.shape(), kernel, stride_, &w));
    const int64_t images = x.dim_size(0);
    OP_REQUIRES(context,
                dy.shape() == TensorShape({images, w.out_height, w.out_width, w.channels}),
                InvalidArgument("dy must have the shape of the output"));
    Tensor* dx = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &dx));
    // With a stride of 1 it is the convolution of dy with the kernel turned by 180 degrees.
    const bool turns = stride_ == 1;
    const Window backward = turns ? Turned(w) : w;
    const std::vector<float> turned = turns ? Turned(kernel) : std::vector<float>();
    const auto run = turns ? ChosenKernels().depthwise : ChosenKernels().depthwise_input_gradient;
    const Bands bands(w.height, w.width * w.channels);
    ForEachUnit(context, images * bands.count, [&](int64_t unit) {
      const int64_t image = unit / bands.count;
      run(backward, Data(dy) + image * w.out_height * w.out_width * w.channels,
          turns ? turned.data() : Data(kernel), bands.First(unit), bands.Last(unit),
          Data(dx) + image * w.height * w.width * w.channels);
    });
  }

 private:
  static Window Turned(const Window& w) {
    Window turned = w;
    std::swap(turned.height, turned.out_height);
    std::swap(turned.width, turned.out_width);
    turned.top = w.size - 1 - w.top;
    turned.left = w.size - 1 - w.left;
    return turned;
  }

  static std::vector<float> Turned(const Tensor& kernel) {
    const int64_t channels = kernel.dim_size(2), taps = kernel.NumElements() / channels;
    std::vector<float> turned(kernel.NumElements());
    for (int64_t tap = 0; tap < taps; ++tap) {
      std::copy_n(Data(kernel) + tap * channels, channels, &turned[(taps - 1 - tap) * channels]);
    }
    return turned;
  }

  int stride_ = 1;
};

class DepthwiseKernelGradOp : public OpKernel {
 public:
  explicit DepthwiseKernelGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &dy = context->input(0), &x = context->input(1), &kernel = context->input(2);
    Window w;
    OP_REQUIRES_OK(context, WindowOf(x.shape(), kernel, stride_, &w));
    const int64_t images = x.dim_size(0), size = kernel.NumElements();
    OP_REQUIRES(context,
                dy.shape() == TensorShape({images, w.out_height, w.out_width, w.channels}),
                InvalidArgument("dy must have the shape of the output"));
    Tensor* dkernel = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, kernel.shape(), &dkernel));
    std::vector<float> partial(images * size, 0.0f);
    ForEachUnit(context, images, [&](int64_t image) {
      ChosenKernels().depthwise_kernel_gradient(
          w, Data(x) + image * w.height * w.width * w.channels,
          Data(dy) + image * w.out_height * w.out_width * w.channels, 0, w.channels,
          &partial[image * size]);
    });
    AddUp(partial, size, Data(dkernel));
  }

 private:
  int stride_ = 1;
};

REGISTER_OP("AdjDepthwise")
    .Input("x: float")
    .Input("kernel: float")
    .Output("y: float")
    .Attr("stride: int >= 1")
    .SetShapeFn([](InferenceContext* c) {
      tensorflow::shape_inference::ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
      int stride;
      TF_RETURN_IF_ERROR(c->GetAttr("stride", &stride));
      tensorflow::shape_inference::DimensionHandle sides[2];
      for (int i = 0; i < 2; ++i) {
        TF_RETURN_IF_ERROR(c->Add(c->Dim(x, i + 1), stride - 1, &sides[i]));
        TF_RETURN_IF_ERROR(c->Divide(sides[i], stride, /*evenly_divisible=*/false, &sides[i]));
      }
      c->set_output(0, c->MakeShape({c->Dim(x, 0), sides[0], sides[1], c->Dim(x, 3)}));
      return Status();
    });

REGISTER_OP("AdjDepthwiseInputGrad")
    .Input("dy: float")
    .Input("x: float")
    .Input("kernel: float")
    .Output("dx: float")
    .Attr("stride: int >= 1")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(1));
      return Status();
    });

REGISTER_OP("AdjDepthwiseKernelGrad")
    .Input("dy: float")
    .Input("x: float")
    .Input("kernel: float")
    .Output("dkernel: float")
    .Attr("stride: int >= 1")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(2));
      return Status();
    });

REGISTER_KERNEL_BUILDER(Name("AdjDepthwise").Device(DEVICE_CPU), DepthwiseOp);
REGISTER_KERNEL_BUILDER(Name("AdjDepthwiseInputGrad").Device(DEVICE_CPU), DepthwiseInputGradOp);
REGISTER_KERNEL_BUILDER(Name("AdjDepthwiseKernelGrad").Device(DEVICE_CPU), DepthwiseKernelGradOp);

}  // namespace
}  // namespace adj_quant

// Holds all ops of this process to the instructions of that name. 0: this processor lacks them.
extern "C" __attribute__((visibility("default"))) int AdjQuantUse(const char* instructions) {
  const adj_quant::Kernels* kernels = adj_quant::FindKernels(instructions);
  if (kernels) adj_quant::chosen_kernels = kernels;
  return kernels != nullptr;
}
