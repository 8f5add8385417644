// Generation beyond what the small models of other tests have: more keys than a team, many classes.
#include "profiler/cuda/inference_bodies.h"

#include <array>

#include "compare_op.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("cuda kernels: cached attention over more keys than a team takes at a time") {
  FakePlugin fake;
  constexpr std::int64_t room = 600;
  for (const auto& [tokens, position] :
       {std::array<std::int64_t, 2>{1, 0}, {1, 255}, {1, 256}, {3, 254}, {70, 500}}) {
    OpCase c(OpKind::cached_attention_forward, DType::f32);
    c.reads("qkv", {2, tokens, 18}, {}).updates("keys", {2, room, 6}, {});
    c.updates("values", {2, room, 6}, {}).writes("y", {2, tokens, 6});
    c.writes("workspace", {std::min(k_flash_rows, tokens), room});
    c.integer("heads", 2).integer("position", position);
    const Trace& trace = c.trace();
    REQUIRE(op_error(trace, trace.ops[0]).empty());
    INFO(tokens << " tokens from " << position);
    CHECK(difference_of_backends(fake, trace, trace.ops[0], 3) <= 1e-5);
  }
}

TEST_CASE("cuda kernels: of equally likely tokens the first is chosen") {
  for (const std::int32_t first : {0, 3, 255, 256, 600}) {
    std::vector<float> logits(700, -1.0f);
    for (const std::int32_t same : {first, 601, 699}) logits[static_cast<std::size_t>(same)] = 2;
    std::int32_t token = -1;
    cuda::MostLikely::Shared shared;
    cuda::MostLikely{logits.data(), &token, 700}(cuda::Team{}, shared, 0);
    CHECK(token == first);
  }
}
