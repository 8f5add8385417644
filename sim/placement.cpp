#include "sim/placement.h"

#include <algorithm>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tidemark {
namespace {

template <class Visit>
void each_instruction(const Program& program, Visit visit) {
  std::int64_t time = 0;
  for (const auto* section : {&program.init, &program.body, &program.final}) {
    for (const Instruction& line : *section) visit(line, time++);
  }
}

class ProblemBuilder {
 public:
  ProblemBuilder(const Trace& trace, Space space)
      : trace_(trace), space_(space), row_(trace.buffers.size(), -1) {}

  /// `bytes` less than 0: as many as the buffer counts.
  void add(BufferId id, bool frees, std::int64_t time, std::int64_t bytes = -1) {
    length_ = time + 1;
    const Buffer& buffer = trace_[id];
    if (buffer.space != space_) return;
    std::int32_t& row = row_[id.index()];
    if (row < 0) {
      row = static_cast<std::int32_t>(problem_.blocks.size());
      problem_.buffers.push_back(id);
      problem_.blocks.push_back(
          {.size_bytes = 0,
           .begin = time,
           .end = k_never,
           .alignment_bytes =
               round_up(std::max(buffer.alignment_bytes, k_granule_bytes), k_granule_bytes)});
    }
    PackBlock& block = problem_.blocks[static_cast<std::size_t>(row)];
    block.size_bytes = std::max(block.size_bytes, bytes < 0 ? counted_bytes(buffer) : bytes);
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

SpaceProblem pack_problem_of(const Trace& trace, Space space) {
  ProblemBuilder builder(trace, space);
  each_instruction(trace.program, [&builder](const Instruction& line, std::int64_t time) {
    if (line.kind == InstructionKind::run) return;
    builder.add(line.buffer(), line.kind == InstructionKind::free, time);
  });
  if (!trace.program.body.empty()) return builder.take();
  std::int64_t time = 0;
  for (const Event& e : trace.events) {
    if ((e.kind != EventKind::alloc && e.kind != EventKind::free) || e.index < 0) continue;
    const bool frees = e.kind == EventKind::free;
    builder.add(BufferId(static_cast<std::size_t>(e.index)), frees, time++,
                frees ? 0 : e.size_bytes);
  }
  return builder.take();
}

std::int64_t place(Trace& trace, Space space, std::int64_t enough_bytes) {
  const SpaceProblem problem = pack_problem_of(trace, space);
  const Packing packing = pack_greedily(problem.blocks, enough_bytes);
  if (const std::string error = packing_error(problem.blocks, packing); !error.empty()) {
    throw std::logic_error("placement: " + error);
  }
  for (std::size_t i = 0; i < problem.buffers.size(); ++i) {
    trace.buffers[problem.buffers[i].index()].offset_bytes = packing.offset_bytes[i];
  }
  return packing.height_bytes;
}

std::int64_t place_all(Trace& trace, std::int64_t enough_bytes) {
  std::set<Space> spaces;
  for (const Buffer& buffer : trace.buffers) spaces.insert(buffer.space);
  std::int64_t device_height = 0;
  for (const Space& space : spaces) {
    const bool device = space == Space{SpaceKind::device, trace.meta.rank};
    const std::int64_t any = enough_bytes > 0 ? std::numeric_limits<std::int64_t>::max() / 2 : 0;
    const std::int64_t height = place(trace, space, device ? enough_bytes : any);
    if (device) device_height = height;
  }
  return device_height;
}

std::int64_t placement_height(const Trace& trace, Space space) {
  std::int64_t height = 0;
  for (const Buffer& buffer : trace.buffers) {
    if (buffer.space != space || buffer.offset_bytes < 0) continue;
    height = std::max(height, buffer.offset_bytes + counted_bytes(buffer));
  }
  return height;
}

std::int64_t placement_bound(const Trace& trace, Space space) {
  return pack_bound(pack_problem_of(trace, space).blocks);
}

}  // namespace tidemark
