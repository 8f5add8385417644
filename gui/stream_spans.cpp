#include "gui/stream_spans.h"

#include <algorithm>

namespace tidemark {
namespace {

std::int32_t stream_of(const Trace& trace, const OpSpan& span) {
  return std::max(trace[span.op].stream.value, 0);
}

}  // namespace

StreamSpans::StreamSpans(const Trace& trace, const std::vector<OpSpan>& spans, std::int32_t stream)
    : spans_(spans), stream_(stream) {
  for (std::size_t row = 0; row < spans.size(); ++row) {
    if (stream_of(trace, spans[row]) != stream) continue;
    if (!rows_.empty()) {
      in_order_ = in_order_ && (*this)[rows_.size() - 1].end_ns <= spans[row].begin_ns;
    }
    rows_.push_back(static_cast<std::int32_t>(row));
  }
  for (std::size_t first = 0; first < size(); first += k_block) {
    block_longest_.push_back(scan(first, std::min(first + k_block, size())));
  }
}

std::size_t StreamSpans::first_from(std::int64_t time_ns, std::size_t first,
                                    std::size_t last) const {
  const auto row = std::lower_bound(rows_.begin() + static_cast<std::ptrdiff_t>(first),
                                    rows_.begin() + static_cast<std::ptrdiff_t>(last), time_ns,
                                    [this](std::int32_t at, std::int64_t ns) {
                                      return spans_[static_cast<std::size_t>(at)].begin_ns < ns;
                                    });
  return static_cast<std::size_t>(row - rows_.begin());
}

std::size_t StreamSpans::scan(std::size_t first, std::size_t last) const {
  std::size_t best = first;
  for (std::size_t at = first + 1; at < last; ++at) {
    if (length_ns(at) > length_ns(best)) best = at;
  }
  return best;
}

std::size_t StreamSpans::longest(std::size_t first, std::size_t last) const {
  const std::size_t first_block = (first + k_block - 1) / k_block;
  const std::size_t last_block = last / k_block;
  if (first_block >= last_block) return scan(first, last);
  std::size_t best = first;
  const auto offer = [&](std::size_t at) {
    if (length_ns(at) > length_ns(best)) best = at;
  };
  if (first < first_block * k_block) best = scan(first, first_block * k_block);
  for (std::size_t block = first_block; block < last_block; ++block) offer(block_longest_[block]);
  if (last_block * k_block < last) offer(scan(last_block * k_block, last));
  return best;
}

std::vector<StreamSpans> spans_by_stream(const Trace& trace, const std::vector<OpSpan>& spans) {
  std::vector<bool> used(std::max<std::size_t>(trace.streams.size(), 1), false);
  for (const OpSpan& span : spans) {
    const auto stream = static_cast<std::size_t>(stream_of(trace, span));
    if (stream < used.size()) used[stream] = true;
  }
  std::vector<StreamSpans> streams;
  for (std::size_t stream = 0; stream < used.size(); ++stream) {
    if (used[stream]) streams.emplace_back(trace, spans, static_cast<std::int32_t>(stream));
  }
  return streams;
}

}  // namespace tidemark
