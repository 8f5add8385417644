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

double difference_of(OpCase& op, const Shape& s) {
  FakePlugin fake;
  const std::int64_t rows = std::min(k_flash_rows, s.tokens);
  op.writes("workspace", {2, rows, s.tokens}).integer("heads", s.heads);
  op.real("probability", s.dropout).integer("seed", 1).integer("key", 2).integer("step", 0, 1);
  const Trace& trace = op.trace();
  REQUIRE(op_error(trace, trace.ops[0]).empty());
  REQUIRE(cuda_kernel_error(trace, trace.ops[0]).empty());
  return difference_of_backends(fake, trace, trace.ops[0], 11);
}

}  // namespace

TEST_CASE("cuda kernels: flash attention by tiles") {
  for (const Shape& s :
       {Shape{1, 1, 1, 1}, Shape{2, 32, 2, 4}, Shape{1, 33, 3, 64}, Shape{2, 70, 2, 5, 0.3},
        Shape{1, 65, 1, 65}, Shape{1, 40, 2, 128, 0.1}, Shape{1, 34, 1, 200}}) {
    INFO(s.tokens << " tokens, heads of " << s.width << ", dropout " << s.dropout);
    const std::int64_t channels = s.heads * s.width;
    const std::vector<std::int64_t> qkv{s.batch, s.tokens, 3 * channels};
    const std::vector<std::int64_t> y{s.batch, s.tokens, channels};
    const std::vector<std::int64_t> rows{s.batch, s.heads, s.tokens};
    OpCase forward(OpKind::flash_attention_forward, DType::f32);
    forward.reads("qkv", qkv, {}).writes("y", y).writes("log_sum_exp", rows);
    CHECK(difference_of(forward, s) <= 1e-5);
    OpCase backward(OpKind::flash_attention_backward, DType::f32);
    backward.reads("dy", y, {}).reads("qkv", qkv, {}).reads("y", y, {});
    backward.reads("log_sum_exp", rows, {}).writes("dqkv", qkv);
    CHECK(difference_of(backward, s) <= 1e-5);
  }
}

TEST_CASE("cuda kernels: heads that are wider than any tile are refused in words") {
  OpCase op(OpKind::flash_attention_forward, DType::f32);
  op.reads("qkv", {1, 2, 900}, {}).writes("y", {1, 2, 300}).writes("log_sum_exp", {1, 1, 2});
  op.writes("workspace", {1, 2, 2}).integer("heads", 1).real("probability", 0);
  CHECK(cuda_kernel_error(op.trace(), op.trace().ops[0]) ==
        "the CUDA backend takes heads with a width of at most 256, not 300");
}
