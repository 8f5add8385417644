#include "profiler/cupti/records.h"

namespace tidemark {
namespace {

constexpr int k_op_bits = 20;
constexpr int k_layer_bits = 21;
constexpr int k_phase_bits = 3;
constexpr int k_step_bits = 20;
static_assert(k_op_bits + k_layer_bits + k_phase_bits + k_step_bits == 64);

/// row + 1 in so many bits; 0 when there is no row or no room for it.
std::uint64_t field(std::int32_t row, int bits) {
  if (row < 0 || row >= (1 << bits) - 1) return 0;
  return static_cast<std::uint64_t>(row) + 1;
}

/// Takes the lowest bits of `id` away and returns the row in them.
std::int32_t take_row(std::uint64_t& id, int bits) {
  const std::uint64_t value = id & ((std::uint64_t{1} << bits) - 1);
  id >>= bits;
  return static_cast<std::int32_t>(value) - 1;
}

}  // namespace

std::uint64_t pack(const Scope& scope) {
  std::uint64_t id = field(scope.step, k_step_bits);
  id = id << k_phase_bits | static_cast<std::uint64_t>(scope.phase);
  id = id << k_layer_bits | field(scope.layer.value, k_layer_bits);
  return id << k_op_bits | field(scope.op.value, k_op_bits);
}

Scope unpack(std::uint64_t id) {
  Scope scope;
  scope.op.value = take_row(id, k_op_bits);
  scope.layer.value = take_row(id, k_layer_bits);
  const auto phase = static_cast<std::size_t>(take_row(id, k_phase_bits) + 1);
  if (phase < EnumNames<Phase>::k_names.size()) scope.phase = static_cast<Phase>(phase);
  scope.step = take_row(id, k_step_bits);
  return scope;
}

}  // namespace tidemark
