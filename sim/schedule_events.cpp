#include "sim/schedule_events.h"

#include <algorithm>

namespace tidemark {
namespace {

/// The n-th forward or backward of a rank: p micro-batches for each chunk in turn, backward in the
/// opposite order of chunks.
PipelineEvent nth(const Layout& l, bool is_forward, std::int64_t n) {
  const std::int64_t round = l.pipeline * l.virtual_stages;
  const std::int64_t chunk = n % round / l.pipeline;
  return {.is_forward = is_forward,
          .chunk = is_forward ? chunk : l.virtual_stages - 1 - chunk,
          .micro_batch = n / round * l.pipeline + n % l.pipeline};
}

/// Forwards before the first backward, less the one that it follows.
std::int64_t warm_up(const Strategy& s, std::int64_t rank) {
  const Layout& l = s.layout;
  const std::int64_t all = s.batch.micro_batches * l.virtual_stages;
  switch (s.schedule) {
    case Schedule::gpipe:
      return all;
    case Schedule::one_f_one_b:
      return std::min(all, l.pipeline - rank - 1);
    case Schedule::interleaved:
      break;
  }
  return std::min(all, 2 * (l.pipeline - rank - 1) + (l.virtual_stages - 1) * l.pipeline);
}

}  // namespace

std::vector<PipelineEvent> schedule_events(const Strategy& s, std::int64_t rank) {
  const std::int64_t all = s.batch.micro_batches * s.layout.virtual_stages;
  const std::int64_t ahead = warm_up(s, rank);
  std::vector<PipelineEvent> events;
  events.reserve(static_cast<std::size_t>(2 * all));
  for (std::int64_t n = 0; n < all + ahead; ++n) {
    if (n < all) events.push_back(nth(s.layout, true, n));
    if (n >= ahead) events.push_back(nth(s.layout, false, n - ahead));
  }
  return events;
}

}  // namespace tidemark
