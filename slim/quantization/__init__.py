"""Quantisation-aware training with 8 bits, after Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018.

Each batch norm is folded into the kernel of its convolution, and 8-bit nodes stand after the folded
kernels (`weights_quant`), after the convolutions' results (`act_quant`), after products that read
quantised values (`activation_Mul_quant`: swish, the scaling of squeeze-excite), after the sums of a
block and its skip (`add_quant`) and after means over pixels (`squeeze_quant`, `global_pool_quant`).
So every convolution reads quantised values, but for the image, which has 8 bits as it comes.

Kernels have a range for each output channel, since ranges of folded channels differ by factors of a
million in EfficientNet. Ranges of kernels are those of the kernels, ranges of activations are
moving averages over batches; delays count in global steps, which several workers share and a new
run continues.

There are two ways to such a network, with the same variables: `contrib_rewrite` rewrites the graph
of a float network (TensorFlow 1.13.1), `fake_quantization` builds it (any TensorFlow). `scheme`
takes the one for this TensorFlow.
"""
