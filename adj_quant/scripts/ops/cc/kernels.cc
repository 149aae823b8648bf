// Compiled once for each instruction set, as ADJ_ISA; without contraction of a * b + c, so that
// every machine and the ops of TensorFlow compute the same bits.

#ifndef ADJ_ISA
#error "ADJ_ISA must name the instruction set"
#endif

#include "activate.h"
#include "depthwise.h"

namespace adj_quant {
namespace ADJ_ISA {

extern const Kernels kKernels = {Activate, ActivateGradient, Depthwise, DepthwiseInputGradient,
                                 DepthwiseKernelGradient};

}  // namespace ADJ_ISA
}  // namespace adj_quant
