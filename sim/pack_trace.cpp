#include "sim/pack_trace.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tidemark {
namespace {

template <class Visit>
void each_instruction(const Program& program, Visit visit) {
  std::int64_t time = 0;
  for (const auto* section : sections_of(program)) {
    for (const Instruction& line : *section) visit(line, time++);
  }
}

class ProblemBuilder {
 public:
  ProblemBuilder(const Trace& trace, Space space)
      : trace_(trace), space_(space), row_(trace.buffers.size(), -1) {}

  void pass(std::int64_t time) { length_ = time + 1; }

  void add(BufferId id, bool frees, std::int64_t time) {
    const Buffer& buffer = trace_[id];
    if (buffer.space != space_) return;
    std::int32_t& row = row_[id.index()];
    if (row < 0) {
      row = static_cast<std::int32_t>(problem_.blocks.size());
      problem_.buffers.push_back(id);
      problem_.blocks.push_back(
          {.size_bytes = counted_bytes(buffer),
           .begin = time,
           .end = k_never,
           .alignment_bytes =
               round_up(std::max(buffer.alignment_bytes, k_granule_bytes), k_granule_bytes)});
    }
    PackBlock& block = problem_.blocks[static_cast<std::size_t>(row)];
    block.end = frees ? time : k_never;
  }

  SpaceProblem take() {
    for (PackBlock& block : problem_.blocks) block.end = std::min(block.end, length_);
    return std::move(problem_);
  }

 private:
  static constexpr std::int64_t k_never = std::numeric_limits<std::int64_t>::max();

  const Trace& trace_;
  Space space_;
  std::vector<std::int32_t> row_;  // by buffer
  SpaceProblem problem_;
  std::int64_t length_ = 0;
};

}  // namespace

SpaceProblem program_problem_of(const Trace& trace, Space space) {
  ProblemBuilder builder(trace, space);
  each_instruction(trace.program, [&builder](const Instruction& line, std::int64_t time) {
    builder.pass(time);
    if (line.kind == InstructionKind::run) return;
    builder.add(line.buffer(), line.kind == InstructionKind::free, time);
  });
  return builder.take();
}

SpaceProblem pack_problem_of(const Trace& trace, Space space) {
  if (!trace.program.body.empty() || trace.events.empty()) return program_problem_of(trace, space);
  ProblemBuilder builder(trace, space);
  std::int64_t time = 0;
  for (const Event& e : trace.events) {
    if ((e.kind != EventKind::alloc && e.kind != EventKind::free) || e.index < 0) continue;
    builder.pass(time);
    builder.add(BufferId(static_cast<std::size_t>(e.index)), e.kind == EventKind::free, time++);
  }
  return builder.take();
}

}  // namespace tidemark
