// The CPU kernels, one function per OpKind, for T = float and double. Operand roles, shapes and
// attributes: sim/op_table.cpp. Letters: M rows, K inputs, N outputs, B batch, T tokens,
// C channels, H heads, D = C / H, V vocabulary.
#pragma once

#include "profiler/kernels/kernel_call.h"

namespace tidemark::kernels {

// linear.cpp: y[M,N] = x[M,K] w[N,K]^T + b[N], or of E groups of rows each with its w[E,N,K]
template <class T>
void linear_forward(const KernelCall& call);
template <class T>
void linear_backward_data(const KernelCall& call);
template <class T>
void linear_backward_weight(const KernelCall& call);
template <class T>
void add_bias(const KernelCall& call);

// activation.cpp: element by element; GELU is GPT-2's tanh form
template <class T>
void sigmoid_forward(const KernelCall& call);
template <class T>
void sigmoid_backward(const KernelCall& call);
template <class T>
void tanh_forward(const KernelCall& call);
template <class T>
void tanh_backward(const KernelCall& call);
template <class T>
void relu_forward(const KernelCall& call);
template <class T>
void relu_backward(const KernelCall& call);
template <class T>
void gelu_forward(const KernelCall& call);
template <class T>
void gelu_backward(const KernelCall& call);
template <class T>
void add(const KernelCall& call);

// cross_entropy.cpp: loss = mean over M of (log_sum_exp - logit of the target)
template <class T>
void softmax_cross_entropy_forward(const KernelCall& call);
template <class T>
void softmax_cross_entropy_backward(const KernelCall& call);

// embedding.cpp: y[b,t] = wte[token] + wpe[position + t]
template <class T>
void embedding_forward(const KernelCall& call);
template <class T>
void embedding_backward(const KernelCall& call);

// layer_norm.cpp: y = (x - mean) * inverse_deviation * w + b, over C; y = x * inverse_rms * w
template <class T>
void layer_norm_forward(const KernelCall& call);
template <class T>
void layer_norm_backward(const KernelCall& call);
template <class T>
void rms_norm_forward(const KernelCall& call);
template <class T>
void rms_norm_backward(const KernelCall& call);

// attention.cpp: causal, probabilities saved
template <class T>
void attention_forward(const KernelCall& call);
template <class T>
void attention_backward(const KernelCall& call);

// optimizer.cpp
template <class T>
void sgd_update(const KernelCall& call);
template <class T>
void adamw_update(const KernelCall& call);

template <class T>
void momentum_update(const KernelCall& call);
template <class T>
void adam_update(const KernelCall& call);

// clipping.cpp: the common norm of all gradients
template <class T>
void sum_of_squares(const KernelCall& call);
template <class T>
void clip_factor(const KernelCall& call);
template <class T>
void scale_by(const KernelCall& call);

// dropout.cpp: the mask is made again, never saved
template <class T>
void dropout_forward(const KernelCall& call);
template <class T>
void dropout_backward(const KernelCall& call);

// convolution.cpp: y[B,O] = x[B,C] * w[O,C] + b, by columns of one sample
template <class T>
void conv2d_forward(const KernelCall& call);
template <class T>
void conv2d_backward_data(const KernelCall& call);
template <class T>
void conv2d_backward_weight(const KernelCall& call);

// batch_norm.cpp: over samples and positions of a channel
template <class T>
void batch_norm_forward(const KernelCall& call);
template <class T>
void batch_norm_backward(const KernelCall& call);
template <class T>
void batch_norm_update(const KernelCall& call);
template <class T>
void batch_norm_inference(const KernelCall& call);

// pooling.cpp: maximum of windows; average over all positions
template <class T>
void max_pool_forward(const KernelCall& call);
template <class T>
void max_pool_backward(const KernelCall& call);
template <class T>
void average_pool_forward(const KernelCall& call);
template <class T>
void average_pool_backward(const KernelCall& call);

// flash_attention.cpp: causal, log-sum-exp saved
template <class T>
void flash_attention_forward(const KernelCall& call);
template <class T>
void flash_attention_backward(const KernelCall& call);

// cached_attention.cpp: causal, keys and values of earlier tokens from a cache
template <class T>
void cached_attention_forward(const KernelCall& call);

// next_token.cpp: from the last row to the most likely token
template <class T>
void last_token(const KernelCall& call);
template <class T>
void most_likely(const KernelCall& call);

// rotary.cpp: queries and keys turned by their position, keys and values repeated for their heads
template <class T>
void rotary_forward(const KernelCall& call);
template <class T>
void rotary_backward(const KernelCall& call);

// swiglu.cpp: silu of one half times the other
template <class T>
void swiglu_forward(const KernelCall& call);
template <class T>
void swiglu_backward(const KernelCall& call);

// routing.cpp: tokens to experts, by slots, and back, by gates
template <class T>
void route_forward(const KernelCall& call);
template <class T>
void route_backward(const KernelCall& call);
template <class T>
void dispatch_forward(const KernelCall& call);
template <class T>
void dispatch_backward(const KernelCall& call);
template <class T>
void combine_forward(const KernelCall& call);
template <class T>
void combine_backward(const KernelCall& call);
template <class T>
void balance_backward(const KernelCall& call);

// token_embedding.cpp: y[b,t] = w[token]
template <class T>
void token_embedding_forward(const KernelCall& call);
template <class T>
void token_embedding_backward(const KernelCall& call);

// slice_columns.cpp: some columns of a matrix
template <class T>
void slice_columns(const KernelCall& call);
template <class T>
void insert_columns(const KernelCall& call);

// source.cpp: where values come from
template <class T>
void fill(const KernelCall& call);
template <class T>
void random_normal(const KernelCall& call);
template <class T>
void load_batch(const KernelCall& call);

}  // namespace tidemark::kernels
