#include "profiler/kernels/convolution_onednn.h"

#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string_view>
#include <tuple>

#include "profiler/kernels/onednn_library.h"

// The kernels of oneDNN that are near the speed of the machine want 8 or 16 channels of a pixel
// beside each other, and filters likewise. Activations are not kept so: as many samples as the
// workspace has room for are brought into that order, convolved, and brought back.

namespace tidemark::kernels::onednn {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto k_f32 = dnnl::memory::data_type::f32;
constexpr auto k_algorithm = dnnl::algorithm::convolution_direct;

/// Shapes of one group of samples, in an order that the library chooses.
struct Shapes {
  Dims x, w, y, bias, strides, padding;

  Shapes(const ConvolutionSizes& s, std::int64_t samples)
      : x{samples, s.channels, s.height, s.width},
        w{s.filters, s.channels, s.kernel, s.kernel},
        y{samples, s.filters, s.out_height, s.out_width},
        bias{s.filters},
        strides{s.stride, s.stride},
        padding{s.padding, s.padding} {}

  [[nodiscard]] Desc any_x() const { return {x, k_f32, Tag::any}; }
  [[nodiscard]] Desc any_w() const { return {w, k_f32, Tag::any}; }
  [[nodiscard]] Desc any_y() const { return {y, k_f32, Tag::any}; }
};

/// All scratch is a part of the workspace that the op declares.
dnnl::primitive_attr own_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::convolution_forward::primitive_desc forward_of(const Shapes& s, bool with_bias) {
  using Forward = dnnl::convolution_forward;
  constexpr auto kind = dnnl::prop_kind::forward_training;
  const Desc bias(s.bias, k_f32, Tag::x);
#if DNNL_VERSION_MAJOR >= 3
  return with_bias
             ? Forward::primitive_desc(engine(), kind, k_algorithm, s.any_x(), s.any_w(), bias,
                                       s.any_y(), s.strides, s.padding, s.padding, own_scratch())
             : Forward::primitive_desc(engine(), kind, k_algorithm, s.any_x(), s.any_w(), s.any_y(),
                                       s.strides, s.padding, s.padding, own_scratch());
#else
  const auto what = with_bias ? Forward::desc(kind, k_algorithm, s.any_x(), s.any_w(), bias,
                                              s.any_y(), s.strides, s.padding, s.padding)
                              : Forward::desc(kind, k_algorithm, s.any_x(), s.any_w(), s.any_y(),
                                              s.strides, s.padding, s.padding);
  return {what, own_scratch(), engine()};
#endif
}

dnnl::convolution_backward_data::primitive_desc data_of(const Shapes& s) {
  using Data = dnnl::convolution_backward_data;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(),  k_algorithm,          s.any_x(),    s.any_w(), s.any_y(), s.strides, s.padding,
          s.padding, forward_of(s, false), own_scratch()};
#else
  return {Data::desc(k_algorithm, s.any_x(), s.any_w(), s.any_y(), s.strides, s.padding, s.padding),
          own_scratch(), engine(), forward_of(s, false)};
#endif
}

dnnl::convolution_backward_weights::primitive_desc weight_of(const Shapes& s) {
  using Weight = dnnl::convolution_backward_weights;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(),  k_algorithm,          s.any_x(),    s.any_w(), s.any_y(), s.strides, s.padding,
          s.padding, forward_of(s, false), own_scratch()};
#else
  return {
      Weight::desc(k_algorithm, s.any_x(), s.any_w(), s.any_y(), s.strides, s.padding, s.padding),
      own_scratch(), engine(), forward_of(s, false)};
#endif
}

constexpr std::int64_t rounded(std::size_t bytes) {
  constexpr std::int64_t k_line = 64;
  return (static_cast<std::int64_t>(bytes) + k_line - 1) / k_line * k_line;
}

/// An array in the order of the trace and in that of the kernel, which may be the same.
class Side {
 public:
  Side() = default;
  Side(const Dims& dims, Tag plain, const Desc& blocked)
      : plain_(Desc(dims, k_f32, plain), engine(), nullptr), blocked_(plain_) {
    if (blocked == plain_.get_desc()) return;
    bytes_ = rounded(blocked.get_size());
    blocked_ = dnnl::memory(blocked, engine(), nullptr);
    in_ = dnnl::reorder(plain_, blocked_);
    out_ = dnnl::reorder(blocked_, plain_);
    dnnl::primitive_attr adding;
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    adding.set_post_ops(sum);
    add_ = dnnl::reorder(dnnl::reorder::primitive_desc(blocked_, plain_, adding));
  }

  /// Of the workspace.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] const dnnl::memory& blocked() const { return blocked_; }

  void place(float* plain, std::byte*& workspace) {
    plain_.set_data_handle(plain);
    if (bytes_ > 0) blocked_.set_data_handle(workspace);
    workspace += bytes_;
  }
  void take_in() {
    if (bytes_ > 0) in_.execute(stream(), plain_, blocked_);
  }
  void put_out(bool adds) {
    if (bytes_ > 0) (adds ? add_ : out_).execute(stream(), blocked_, plain_);
  }

 private:
  dnnl::memory plain_, blocked_;
  std::int64_t bytes_ = 0;
  dnnl::reorder in_, out_, add_;
};

/// One pass over a group of samples.
class Group {
 public:
  Group(const Convolution& c, std::int64_t samples) : samples_(samples) {
    const Shapes s(c.sizes, samples);
    if (c.pass == ConvolutionPass::forward) {
      const auto made = forward_of(s, c.bias != nullptr);
      set(made, s, made.src_desc(), made.weights_desc(), made.dst_desc());
      run_ = dnnl::convolution_forward(made);
      arguments_ = {{DNNL_ARG_SRC, x_.blocked()},
                    {DNNL_ARG_WEIGHTS, w_.blocked()},
                    {DNNL_ARG_DST, y_.blocked()}};
      if (c.bias != nullptr) {
        bias_ = dnnl::memory(Desc(s.bias, k_f32, Tag::x), engine(), nullptr);
        arguments_.emplace(DNNL_ARG_BIAS, bias_);
      }
    } else if (c.pass == ConvolutionPass::backward_data) {
      const auto made = data_of(s);
      set(made, s, made.diff_src_desc(), made.weights_desc(), made.diff_dst_desc());
      run_ = dnnl::convolution_backward_data(made);
      arguments_ = {{DNNL_ARG_DIFF_SRC, x_.blocked()},
                    {DNNL_ARG_WEIGHTS, w_.blocked()},
                    {DNNL_ARG_DIFF_DST, y_.blocked()}};
    } else {
      const auto made = weight_of(s);
      set(made, s, made.src_desc(), made.diff_weights_desc(), made.diff_dst_desc());
      run_ = dnnl::convolution_backward_weights(made);
      arguments_ = {{DNNL_ARG_SRC, x_.blocked()},
                    {DNNL_ARG_DIFF_WEIGHTS, w_.blocked()},
                    {DNNL_ARG_DIFF_DST, y_.blocked()}};
    }
    arguments_.emplace(DNNL_ARG_SCRATCHPAD, scratch_);
  }

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  [[nodiscard]] std::int64_t bytes() const {
    return w_.bytes() + x_.bytes() + y_.bytes() + scratch_bytes_;
  }
  [[nodiscard]] std::int64_t bytes_per_sample() const {
    return (x_.bytes() + y_.bytes()) / samples_;
  }
  /// Not a reference loop, which would be slower than a matrix product.
  [[nodiscard]] bool is_fast() const { return is_fast_; }

  /// Filters can be added up group by group: the kernel does not write into those of the op.
  [[nodiscard]] bool has_own_filters() const { return w_.bytes() > 0; }

  /// Samples `first` and on. `again`: the workspace holds the filters from the run before.
  void run(const Convolution& c, std::int64_t first, bool again) {
    place(c, first);
    const bool forward = c.pass == ConvolutionPass::forward;
    const bool weight = c.pass == ConvolutionPass::backward_weight;
    if (!weight && !again) w_.take_in();
    if (forward || weight) x_.take_in();
    if (!forward) y_.take_in();
    run_.execute(stream(), arguments_);
    if (forward) y_.put_out(false);
    if (c.pass == ConvolutionPass::backward_data) x_.put_out(false);
    if (weight) w_.put_out(c.accumulates || first > 0);
  }

 private:
  template <class Made>
  void set(const Made& made, const Shapes& s, const Desc& x, const Desc& w, const Desc& y) {
    x_ = Side(s.x, Tag::nchw, x);
    w_ = Side(s.w, Tag::oihw, w);
    y_ = Side(s.y, Tag::nchw, y);
    const Desc scratch = made.scratchpad_desc();
    scratch_bytes_ = rounded(scratch.get_size());
    scratch_ = dnnl::memory(scratch, engine(), nullptr);
    is_fast_ = std::string_view(made.impl_info_str()).starts_with("jit");
  }

  void place(const Convolution& c, std::int64_t first) {
    const ConvolutionSizes& s = c.sizes;
    auto* free = reinterpret_cast<std::byte*>(c.workspace);
    w_.place(c.w, free);
    x_.place(c.x + first * s.channels * s.height * s.width, free);
    y_.place(c.y + first * s.filters * s.out_height * s.out_width, free);
    if (scratch_bytes_ > 0) scratch_.set_data_handle(free);
    if (c.bias != nullptr) bias_.set_data_handle(c.bias);
  }

  std::int64_t samples_;
  Side x_, w_, y_;
  dnnl::memory scratch_, bias_;
  std::int64_t scratch_bytes_ = 0;
  bool is_fast_ = false;
  dnnl::primitive run_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

/// Groups that a workspace has room for; none when it has no room for one sample.
struct Groups {
  std::optional<Group> whole, rest;
};

Groups make_groups(const Convolution& c) {
  const auto fits = [&c](const Group& group) {
    return group.is_fast() && group.bytes() <= c.workspace_bytes &&
           (c.pass != ConvolutionPass::backward_weight || group.has_own_filters());
  };
  Groups made;
  try {
    const Group one(c, 1);
    if (!fits(one)) return {};
    const std::int64_t left = c.workspace_bytes - one.bytes();
    std::int64_t samples = c.sizes.batch;
    if (one.bytes_per_sample() > 0) {
      samples = std::min(samples, 1 + left / one.bytes_per_sample());
    }
    made.whole.emplace(c, samples);
    while (!fits(*made.whole) && samples > 1) {
      samples = (samples + 1) / 2;  // scratch may grow with the group
      made.whole.emplace(c, samples);
    }
    if (!fits(*made.whole)) return {};
    if (const std::int64_t rest = c.sizes.batch % samples; rest > 0) made.rest.emplace(c, rest);
    if (made.rest && !fits(*made.rest)) return {};
  } catch (const dnnl::error&) {
    return {};  // not for these sizes
  }
  return made;
}

}  // namespace

bool convolve(const Convolution& c) {
  using Key = std::tuple<ConvolutionPass, ConvolutionSizes, bool, std::int64_t>;
  thread_local std::map<Key, Groups> known;
  const Key key{c.pass, c.sizes, c.bias != nullptr, c.workspace_bytes};
  auto found = known.find(key);
  if (found == known.end()) found = known.emplace(key, make_groups(c)).first;
  Groups& groups = found->second;
  if (!groups.whole) return false;
  std::int64_t first = 0;
  for (; first + groups.whole->samples() <= c.sizes.batch; first += groups.whole->samples()) {
    groups.whole->run(c, first, first > 0);
  }
  if (first < c.sizes.batch) groups.rest->run(c, first, false);
  stream().wait();
  return true;
}

}  // namespace tidemark::kernels::onednn
