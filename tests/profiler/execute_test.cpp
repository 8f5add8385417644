#include "profiler/kernels/execute.h"

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

OpCase add_case(DType dtype) {
  OpCase c(OpKind::add, dtype);
  c.reads("a", {33}, random_numbers(33, 1)).reads("b", {33}, random_numbers(33, 2));
  c.writes("y", {33});
  return c;
}

std::string error_of(OpCase& c) {
  return kernel_error(c.trace(), c.trace().ops[0]);
}

}  // namespace

TEST_CASE("kernel_error names what a kernel cannot execute") {
  OpCase fits = add_case(DType::f32);
  CHECK(error_of(fits).empty());

  OpCase half = add_case(DType::bf16);
  CHECK(error_of(half) == "dtype bf16 has no CPU kernel, f32 and f64 have");

  OpCase mixed = add_case(DType::f32);
  mixed.trace().buffers[1].dtype = DType::f64;
  mixed.trace().buffers[1].size_bytes *= 2;
  CHECK(error_of(mixed) == "b is f64, expected f32");

  OpCase small = add_case(DType::f32);
  small.trace().buffers[2].size_bytes -= 1;
  CHECK(error_of(small) == "y has 131 bytes, less than its shape");

  OpCase collective(OpKind::all_reduce, DType::f32);
  collective.updates("x", {4}, {1, 2, 3, 4});
  CHECK(error_of(collective).empty());  // no kernel: what links the ranks executes it
  OpCase foreign(OpKind::foreign, DType::f32);
  foreign.updates("x", {4}, {1, 2, 3, 4});
  CHECK(error_of(foreign) == "kind foreign has no CPU kernel");
}

TEST_CASE("kernels do not depend on the address of their operands") {
  for (const std::size_t shift : {4U, 8U, 20U, 64U}) {
    CHECK(add_case(DType::f32).run(0, shift) == add_case(DType::f32).run(0, 0));
    OpCase linear(OpKind::linear_forward, DType::f32);
    linear.reads("x", {9, 65}, random_numbers(9 * 65, 3))
        .reads("w", {17, 65}, random_numbers(17 * 65, 4));
    linear.writes("y", {9, 17});
    CHECK(linear.run(0, shift).at("y") == linear.run(0, 0).at("y"));
    OpCase norm(OpKind::layer_norm_forward, DType::f32);
    norm.reads("x", {3, 67}, random_numbers(3 * 67, 5)).reads("w", {67}, random_numbers(67, 6));
    norm.reads("b", {67}, random_numbers(67, 7)).writes("y", {3, 67}).writes("mean", {3});
    norm.writes("inverse_deviation", {3}).real("epsilon", 1e-5);
    CHECK(norm.run(0, shift) == norm.run(0, 0));
  }
}
