#include "profiler/backend.h"

#include <array>

#include "sim/op_table.h"

namespace tidemark {

CollectiveCall collective_call(const Workplace& place, const Op& op) {
  const auto group = static_cast<std::size_t>(integer_at(op, "group", 0));
  const Buffer& x = place.trace[op.operands[0].buffer];
  return {.kind = op.kind,
          .ranks = place.trace.groups[group].ranks,
          .rank = place.trace.meta.rank,
          .dtype = x.dtype,
          .x = place.memory.pointer(op.operands[0].buffer),
          .y = op.operands.size() > 1 ? place.memory.pointer(op.operands[1].buffer) : nullptr,
          .elements = element_count(x),
          .shape = x.shape,
          .split = static_cast<std::size_t>(integer_at(op, "split", 0, 0)),
          .join = static_cast<std::size_t>(integer_at(op, "join", 0, 0))};
}

std::optional<double> mean_of_ranks(Communicator* communicator, double sum, double count) {
  const std::array mine{sum, count};
  if (communicator != nullptr) {
    const std::vector<double> all = communicator->share(mine);
    sum = count = 0;
    for (std::size_t i = 0; i < all.size(); i += 2) {
      sum += all[i];
      count += all[i + 1];
    }
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

}  // namespace tidemark
