// Which launches every op becomes, for every built-in model, in order: tests/golden/cuda_calls.txt.
// TIDEMARK_WRITE_SIGNATURE=1 writes it, as for tests/golden/signature.txt.
#include "profiler/cuda/calls.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "../../catch.h"
#include "sim/builder.h"
#include "tests/paths.h"

using namespace tidemark;

namespace {

const std::string k_golden = std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/cuda_calls.txt";

std::string text_of(const cuda::Call& call) {
  switch (call.kernel) {
    case cuda::Kernel::fill:
      return "fill";
    case cuda::Kernel::round:
      return "round";
    case cuda::Kernel::column_sums:
      return (call.accumulates & 2U) != 0 ? "column_sums+=" : "column_sums";
    case cuda::Kernel::product: {
      std::string out = (call.accumulates & 4U) != 0 ? "product+=" : "product";
      if ((call.bf16 & 3U) == 3) out += "/bf16";
      if (call.pointers[3] != nullptr) out += "/bias";
      if (call.pointers[4] != nullptr) out += "/sums";
      return out;
    }
    default:
      return call.bf16 == 0 ? "own" : fmt::format("own/bf16:{}", call.bf16);
  }
}

/// The launches of an op; its operands are at addresses that are not followed.
std::string calls_of(const Trace& program, const Op& op) {
  std::vector<std::byte*> pointers;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    pointers.push_back(reinterpret_cast<std::byte*>((i + 1) << 40));
  }
  std::string out;
  for (const cuda::Call& call : cuda_calls({program, op, 1, pointers, nullptr})) {
    out += (out.empty() ? "" : " ") + text_of(call);
  }
  return out;
}

/// One line for each way in which the ops of a kind are launched, and a hash of all of them in
/// order.
std::string describe(const RunConfig& config) {
  const Trace program = build_program(config);
  std::vector<std::pair<std::string, std::int64_t>> lines;
  std::string all;
  for (const Op& op : program.ops) {
    if (is_structural(op.kind) || is_made_on_host(op.kind)) continue;
    if (op.kind == OpKind::report_loss) continue;
    if (const std::string error = cuda_kernel_error(program, op); !error.empty()) {
      return "  refused: " + error + "\n";
    }
    const std::string line = fmt::format("{}: {}", to_string(op.kind), calls_of(program, op));
    all += line + "\n";
    const auto known = std::ranges::find(lines, line, &std::pair<std::string, std::int64_t>::first);
    known == lines.end() ? static_cast<void>(lines.emplace_back(line, 1))
                         : static_cast<void>(++known->second);
  }
  std::string out = fmt::format("  in order {:016x}\n", XXH3_64bits(all.data(), all.size()));
  for (const auto& [line, count] : lines) out += fmt::format("  {} x {}\n", count, line);
  return out;
}

std::string describe_all() {
  std::string out;
  for (const BuiltinModel& builtin : builtin_models()) {
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      RunConfig config = default_run(builtin.model.name);
      config.batch = 2;
      config.accumulation = 2;
      config.precision = precision;
      if (config.model.is_decoder() && precision == Precision::bf16) {
        config.attention = AttentionLowering::cudnn;
      }
      out += fmt::format("{} {}\n{}", builtin.model.name, to_string(precision), describe(config));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("cuda calls: those of every built-in model are the known ones") {
  const std::string found = describe_all();
  if (std::getenv("TIDEMARK_WRITE_SIGNATURE") != nullptr) std::ofstream(k_golden) << found;
  std::ifstream file(k_golden);
  const std::string known((std::istreambuf_iterator<char>(file)), {});
  CHECK(found == known);
}

TEST_CASE("cuda calls: groups of rows follow each other in every operand") {
  const RunConfig config = [] {
    RunConfig c = default_run("moe-tiny");
    c.precision = Precision::bf16;
    return c;
  }();
  const Trace program = build_program(config);
  std::size_t seen = 0;
  for (const Op& op : program.ops) {
    if (op.kind != OpKind::linear_forward) continue;
    const Buffer& w = program[find_operand(op, "w")->buffer];
    if (w.shape.size() != 3) continue;
    ++seen;
    std::vector<std::byte*> pointers;
    for (std::size_t i = 0; i < op.operands.size(); ++i) {
      pointers.push_back(reinterpret_cast<std::byte*>((i + 1) << 40));
    }
    const KernelCall call{program, op, 0, pointers, nullptr};
    const std::vector<cuda::Call> calls = cuda_calls(call);
    const std::size_t groups = static_cast<std::size_t>(w.shape[0]);
    REQUIRE(calls.size() >= groups);
    const std::size_t first = calls.size() - groups;
    const auto at = [&](std::size_t group, std::size_t operand) {
      return static_cast<std::byte*>(calls[first + group].pointers[operand]) -
             static_cast<std::byte*>(calls[first].pointers[operand]);
    };
    const auto count = static_cast<std::ptrdiff_t>(groups);
    CHECK(at(groups - 1, 0) == 2 * call.elements("x") / count * (count - 1));
    CHECK(at(groups - 1, 1) == 2 * call.elements("w") / count * (count - 1));
    CHECK(at(groups - 1, 2) == 4 * call.elements("y") / count * (count - 1));
  }
  CHECK(seen > 0);
}
