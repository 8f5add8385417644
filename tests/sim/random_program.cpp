#include "random_program.h"

#include <algorithm>
#include <random>
#include <set>

#include "sim/lifetimes.h"
#include "small_program.h"

namespace tidemark::test {
namespace {

struct Pick {
  explicit Pick(std::uint64_t seed) : engine(seed) {}
  std::int64_t operator()(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine);
  }
  std::mt19937_64 engine;
};

void add(Trace& t, std::vector<OpId>& section, Op op, std::int64_t duration_ns) {
  op.duration_ns = duration_ns;
  section.emplace_back(t.ops.size());
  t.ops.push_back(std::move(op));
}

/// A chain of ops on fresh buffers, from a weight.
void add_eval(Trace& t, OpOrder& schedule, std::uint64_t seed) {
  Pick pick(~seed);
  t.meta.eval_every = pick(1, 3);
  int from = 0;
  for (std::int64_t i = pick(1, 6); i > 0; --i) {
    Buffer b = t.buffers[0];
    b.name = "e" + std::to_string(i);
    b.size_bytes += pick(0, 2000);
    b.category = static_cast<Category>(pick(0, k_category_count - 1));
    t.buffers.push_back(b);
    const int to = static_cast<int>(t.buffers.size()) - 1;
    Op op = relu(from, 0, to, 1);
    op.phase = Phase::eval;
    add(t, schedule.eval, op, pick(0, 50));
    if (pick(0, 1) == 0) from = to;
  }
}

Trace make_program(std::uint64_t seed, bool with_eval) {
  Pick pick(seed);
  Trace t;
  t.streams = {{.name = "compute"}};
  t.layers = {{"layer", "relu", {}}};
  OpOrder schedule;
  const std::int64_t elements = pick(1, 300);
  const auto make = [&](Category category) {
    Buffer b = buffer("b" + std::to_string(t.buffers.size()), {elements});
    b.size_bytes += pick(0, 2000);  // bytes that no op needs
    b.category = category;
    t.buffers.push_back(b);
    return static_cast<int>(t.buffers.size()) - 1;
  };
  std::vector<int> known;
  for (std::int64_t i = pick(1, 4); i > 0; --i) {
    known.push_back(make(Category::weight));
    schedule.persistent.emplace_back(static_cast<std::size_t>(known.back()));
    add(t, schedule.init, fill(known.back(), 1), pick(0, 50));
  }
  for (std::int64_t i = pick(1, 40); i > 0; --i) {
    const auto any = [&] {
      return known[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(known.size()) - 1))];
    };
    if (pick(0, 3) == 0) {
      add(t, schedule.body,
          op(OpKind::sgd_update, {use("w", known[0], 0, 1), use("dw", known.back(), 0)},
             {number("learning_rate", 0, 1), number("weight_decay", 0)}),
          pick(0, 50));
      if (known.size() == 1) t.ops.back() = fill(known[0], 1);
      continue;
    }
    const int x = any();
    const int y = make(static_cast<Category>(pick(0, k_category_count - 1)));
    add(t, schedule.body, relu(x, 0, y, 1), pick(0, 50));
    known.push_back(y);
  }
  if (with_eval) add_eval(t, schedule, seed);
  assign_versions(t, schedule);
  t.program = with_lifetimes(t, schedule);
  return t;
}

}  // namespace

Trace random_program(std::uint64_t seed) {
  return make_program(seed, false);
}

Trace random_program_with_eval(std::uint64_t seed) {
  return make_program(seed, true);
}

BruteForce brute_force(const Trace& trace, Space space, int steps) {
  BruteForce out;
  std::set<std::int32_t> live;
  const auto total = [&] {
    std::int64_t bytes = 0;
    for (std::int32_t row : live) {
      const Buffer& b = trace.buffers[static_cast<std::size_t>(row)];
      if (b.space == space) bytes += (b.size_bytes + 255) / 256 * 256;
    }
    return bytes;
  };
  const auto play = [&](const std::vector<Instruction>& lines) {
    std::int64_t peak = total();
    for (const Instruction& line : lines) {
      if (line.kind == InstructionKind::run) continue;
      line.kind == InstructionKind::alloc ? (void)live.insert(line.index)
                                          : (void)live.erase(line.index);
      const Buffer& changed = trace[line.buffer()];
      if (changed.space != space || changed.size_bytes == 0) continue;
      CategoryBytes by_category{};
      for (std::int32_t row : live) {
        const Buffer& b = trace.buffers[static_cast<std::size_t>(row)];
        if (b.space != space) continue;
        by_category[static_cast<std::size_t>(b.category)] += (b.size_bytes + 255) / 256 * 256;
      }
      out.after.push_back(by_category);
      peak = std::max(peak, total());
    }
    out.run_peak_bytes = std::max(out.run_peak_bytes, peak);
    return peak;
  };
  play(trace.program.init);
  for (int step = 1; step <= steps; ++step) {
    out.step_peak_bytes = play(trace.program.body);
    const bool is_last_chance = step == steps && out.eval_peak_bytes == 0;
    if (trace.program.eval.empty()) continue;
    if (step % trace.meta.eval_every == 0 || is_last_chance) {
      out.eval_peak_bytes = play(trace.program.eval);
    }
  }
  play(trace.program.final);
  return out;
}

}  // namespace tidemark::test
