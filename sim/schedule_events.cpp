#include "sim/schedule_events.h"

#include <algorithm>

namespace tidemark {
namespace {

/// The n-th forward or backward of a rank: p micro-batches for each chunk in turn, backward in the
/// opposite order of chunks.
PipelineEvent nth(const Layout& l, PipelinePass pass, std::int64_t n) {
  const std::int64_t round = l.pipeline * l.virtual_stages;
  const std::int64_t chunk = n % round / l.pipeline;
  return {.pass = pass,
          .chunk = pass == PipelinePass::forward ? chunk : l.virtual_stages - 1 - chunk,
          .micro_batch = n / round * l.pipeline + n % l.pipeline};
}

}  // namespace

std::int64_t forwards_ahead(const Strategy& s, std::int64_t rank) {
  const Layout& l = s.layout;
  const std::int64_t all = s.batch.micro_batches * l.virtual_stages;
  switch (s.schedule) {
    case PipelineSchedule::gpipe:
      return all;
    case PipelineSchedule::one_f_one_b:
    case PipelineSchedule::zero_bubble:
      return std::min(all, l.pipeline - rank);
    case PipelineSchedule::interleaved:
      break;
  }
  return std::min(all, 2 * (l.pipeline - rank) - 1 + (l.virtual_stages - 1) * l.pipeline);
}

std::int64_t weights_behind(const Strategy& s, std::int64_t rank) {
  return s.schedule == PipelineSchedule::zero_bubble ? std::min(rank, s.batch.micro_batches) : 0;
}

std::int64_t forwards_of_chunk(const Layout& l, std::int64_t forwards, std::int64_t chunk) {
  const std::int64_t round = l.pipeline * l.virtual_stages;
  return forwards / round * l.pipeline +
         std::clamp<std::int64_t>(forwards % round - chunk * l.pipeline, 0, l.pipeline);
}

std::int64_t chunk_of_backward(const Layout& l, std::int64_t backwards) {
  return nth(l, PipelinePass::backward, backwards).chunk;
}

std::vector<PipelineEvent> schedule_events(const Strategy& s, std::int64_t rank) {
  const std::int64_t all = s.batch.micro_batches * s.layout.virtual_stages;
  const std::int64_t ahead = forwards_ahead(s, rank);
  const bool apart = s.schedule == PipelineSchedule::zero_bubble;
  const std::int64_t behind = weights_behind(s, rank);
  std::vector<PipelineEvent> events;
  events.reserve(static_cast<std::size_t>((apart ? 3 : 2) * all));
  const auto add = [&](PipelinePass pass, std::int64_t n) {
    if (n >= 0 && n < all) events.push_back(nth(s.layout, pass, n));
  };
  for (std::int64_t n = 0; n < all + ahead - 1; ++n) {
    add(PipelinePass::forward, n);
    add(PipelinePass::backward, n - ahead + 1);
    if (apart && n >= ahead - 1) add(PipelinePass::weights, n - ahead + 1 - behind);
  }
  for (std::int64_t n = all - behind; apart && n < all; ++n) add(PipelinePass::weights, n);
  return events;
}

}  // namespace tidemark
