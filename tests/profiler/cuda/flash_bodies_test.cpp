// Tiles of attention: several of them, the last not full, heads of every width that has its kernel.
#include "profiler/cuda/flash_bodies.h"

#include "compare_op.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct Shape {
  std::int64_t batch, tokens, heads, width;
  double dropout = 0;
};

double difference_of(OpCase& op, const Shape& s, std::int64_t position) {
  FakePlugin fake;
  op.integer("heads", s.heads);
  if (position > 0) op.integer("position", position);
  op.real("probability", s.dropout).integer("seed", 1).integer("key", 2).integer("step", 0, 1);
  const Trace& trace = op.trace();
  REQUIRE(op_error(trace, trace.ops[0]).empty());
  REQUIRE(cuda_kernel_error(trace, trace.ops[0]).empty());
  return difference_of_backends(fake, trace, trace.ops[0], 11);
}

/// Forward and backward; `parts` > 0: keys are apart, so many parts of as many tokens as there are
/// queries, which begin at `position` among them.
void check_both(const Shape& s, bool flash, std::int64_t parts, std::int64_t position) {
  INFO((flash ? "flash, " : "composite, ")
       << s.tokens << " tokens, heads of " << s.width << ", dropout " << s.dropout << ", " << parts
       << " parts, position " << position);
  using Extents = std::vector<std::int64_t>;
  const std::int64_t channels = s.heads * s.width;
  const std::int64_t keys = std::max<std::int64_t>(parts, 1) * s.tokens;
  const Extents qkv{s.batch, s.tokens, 3 * channels};
  const Extents kv{parts, s.batch, s.tokens, 2 * channels};
  const Extents y{s.batch, s.tokens, channels};
  const Extents rows{s.batch, s.heads, s.tokens};
  const Extents scores{s.batch, s.heads, s.tokens, keys};
  const std::int64_t block = std::min(k_flash_rows, s.tokens);
  OpCase forward(flash ? OpKind::flash_attention_forward : OpKind::attention_forward, DType::f32);
  forward.reads("qkv", qkv, {});
  if (parts > 0) forward.reads("kv", kv, {});
  if (!flash) forward.writes("probabilities", scores);
  forward.writes("y", y);
  if (flash) forward.writes("log_sum_exp", rows);
  if (flash || s.dropout > 0) forward.writes("workspace", {block, keys});
  CHECK(difference_of(forward, s, position) <= 1e-5);
  OpCase backward(flash ? OpKind::flash_attention_backward : OpKind::attention_backward,
                  DType::f32);
  backward.reads("dy", y, {}).reads("qkv", qkv, {});
  if (parts > 0) backward.reads("kv", kv, {});
  if (flash) backward.reads("y", y, {}).reads("log_sum_exp", rows, {});
  if (!flash) backward.reads("probabilities", scores, {});
  backward.writes("dqkv", qkv);
  if (parts > 0) backward.writes("dkv", kv);
  backward.writes("workspace", {flash ? 2 * block : s.tokens, keys});
  CHECK(difference_of(backward, s, position) <= 1e-5);
}

const std::vector<Shape> k_shapes{
    Shape{1, 1, 1, 1},   Shape{2, 32, 2, 4},        Shape{1, 33, 3, 64},  Shape{2, 70, 2, 5, 0.3},
    Shape{1, 65, 1, 65}, Shape{1, 40, 2, 128, 0.1}, Shape{1, 34, 1, 200}, Shape{1, 300, 1, 3}};

}  // namespace

TEST_CASE("cuda kernels: attention over the keys beside its queries") {
  for (const Shape& s : k_shapes) {
    for (const bool flash : {false, true}) check_both(s, flash, 0, 0);
  }
}

TEST_CASE("cuda kernels: attention over keys of several ranks, some of which nobody sees") {
  for (const Shape& s : k_shapes) {
    for (const bool flash : {false, true}) {
      check_both(s, flash, 3, 0);
      check_both(s, flash, 3, s.tokens);
      check_both(s, flash, 2, s.tokens / 2);
    }
  }
}

TEST_CASE("cuda kernels: heads that are wider than any tile are refused in words") {
  OpCase op(OpKind::flash_attention_forward, DType::f32);
  op.reads("qkv", {1, 2, 900}, {}).writes("y", {1, 2, 300}).writes("log_sum_exp", {1, 1, 2});
  op.writes("workspace", {1, 2, 2}).integer("heads", 1).real("probability", 0);
  CHECK(cuda_kernel_error(op.trace(), op.trace().ops[0]) ==
        "the CUDA backend takes heads with a width of at most 256, not 300");
}
