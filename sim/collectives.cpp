#include "sim/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "sim/real.h"
#include "traces/error.h"

namespace tidemark {
namespace {

double message_ns(const Link& link, double bytes) {
  return link.latency_ns + bytes / link.bytes_per_ns;
}

InputError bad(const char* place, std::string expected, std::string found) {
  return InputError(InputError::Parts{
      .place = place, .expected = std::move(expected), .found = std::move(found)});
}

}  // namespace

double ring_ns(Collective collective, const Link& link, std::int64_t ranks, double bytes) {
  if (ranks <= 1) return 0;
  if (collective == Collective::point_to_point) return message_ns(link, bytes);
  const double messages = real(collective == Collective::all_reduce ? 2 * (ranks - 1) : ranks - 1);
  return messages * message_ns(link, bytes / real(ranks));
}

double tree_all_reduce_ns(const Link& link, std::int64_t ranks, double bytes) {
  if (ranks <= 1) return 0;
  const int depth = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(ranks - 1)));
  return 2 * real(depth) * link.latency_ns + 2 * bytes / link.bytes_per_ns;
}

double hierarchical_ns(Collective collective, const Topology& topology, std::int64_t ranks,
                       double bytes) {
  const std::int64_t inside = topology.node_ranks;
  if (ranks <= inside) return ring_ns(collective, topology.inside, ranks, bytes);
  if (inside < 1 || ranks % inside != 0) {
    throw bad("group", fmt::format("whole nodes of {} ranks", inside), std::to_string(ranks));
  }
  const std::int64_t nodes = ranks / inside;
  const double part = bytes / real(inside);
  switch (collective) {
    case Collective::all_reduce:
      return ring_ns(Collective::reduce_scatter, topology.inside, inside, bytes) +
             std::min(ring_ns(collective, topology.between, nodes, part),
                      tree_all_reduce_ns(topology.between, nodes, part)) +
             ring_ns(Collective::all_gather, topology.inside, inside, bytes);
    case Collective::all_gather:
    case Collective::reduce_scatter:
      return ring_ns(collective, topology.inside, inside, bytes) +
             ring_ns(collective, topology.between, nodes, part);
    case Collective::all_to_all:
      return ring_ns(collective, topology.inside, inside, bytes) +
             ring_ns(collective, topology.between, nodes, bytes);
    case Collective::point_to_point:
      break;
  }
  return ring_ns(collective, topology.between, nodes, bytes);
}

TimeTable::TimeTable(std::vector<TimeSample> samples) {
  for (const TimeSample& s : samples) {
    if (!(s.bytes > 0 && s.ns > 0 && std::isfinite(s.bytes) && std::isfinite(s.ns))) {
      throw bad("collective times", "positive bytes and times",
                fmt::format("{} bytes in {} ns", s.bytes, s.ns));
    }
  }
  if (samples.empty()) throw bad("collective times", "at least one sample", "none");
  std::sort(samples.begin(), samples.end(), [](const TimeSample& a, const TimeSample& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.ns < b.ns;
  });
  for (auto first = samples.begin(); first != samples.end();) {
    const auto last = std::find_if(
        first, samples.end(), [first](const TimeSample& s) { return s.bytes != first->bytes; });
    TimeSample mean{.bytes = first->bytes};
    for (auto s = first; s != last; ++s) mean.ns += s->ns / real(last - first);
    samples_.push_back(mean);
    first = last;
  }
}

double TimeTable::ns(double bytes) const {
  if (samples_.size() == 1) return samples_[0].ns;
  const auto on_line = [bytes](const TimeSample& a, const TimeSample& b) {
    return a.ns + (b.ns - a.ns) * (bytes - a.bytes) / (b.bytes - a.bytes);
  };
  const TimeSample& first = samples_.front();
  const TimeSample& last = samples_.back();
  if (bytes < first.bytes) return std::max(on_line(first, samples_[1]), first.ns / 2);
  if (bytes > last.bytes) {
    const TimeSample& middle = samples_[(samples_.size() - 1) / 2];
    const double slope = std::max(0.0, (last.ns - middle.ns) / (last.bytes - middle.bytes));
    return last.ns + slope * (bytes - last.bytes);
  }
  auto after =
      std::upper_bound(samples_.begin() + 1, samples_.end() - 1, bytes,
                       [](double value, const TimeSample& sample) { return value < sample.bytes; });
  return on_line(*(after - 1), *after);
}

Link fit_link(const std::vector<TimeSample>& all_reduce, std::int64_t ranks) {
  if (ranks < 2) throw bad("group", "at least 2 ranks", std::to_string(ranks));
  // t = a + b S with weights 1/t^2: normal equations of two unknowns.
  double w = 0, wx = 0, wxx = 0, wy = 0, wxy = 0;
  const TimeTable table(all_reduce);
  for (const TimeSample& s : table.samples()) {
    const double weight = 1 / (s.ns * s.ns);
    w += weight;
    wx += weight * s.bytes;
    wxx += weight * s.bytes * s.bytes;
    wy += weight * s.ns;
    wxy += weight * s.bytes * s.ns;
  }
  const double determinant = w * wxx - wx * wx;
  if (!(determinant > 1e-12 * w * wxx)) {
    throw bad("collective times", "at least two sizes", "one");
  }
  double fixed = (wxx * wy - wx * wxy) / determinant;
  double per_byte = (w * wxy - wx * wy) / determinant;
  if (fixed < 0) {  // then the best line goes through the origin
    fixed = 0;
    per_byte = wxy / wxx;
  }
  if (!(per_byte > 0)) throw bad("collective times", "times that grow with bytes", "others");
  const double messages = real(2 * (ranks - 1));
  return {.latency_ns = fixed / messages, .bytes_per_ns = messages / (real(ranks) * per_byte)};
}

double from_all_reduce_ns(Collective collective, const TimeTable& all_reduce, std::int64_t ranks,
                          double bytes) {
  if (ranks <= 1) return 0;
  switch (collective) {
    case Collective::all_reduce:
      return all_reduce.ns(bytes);
    case Collective::all_gather:
    case Collective::reduce_scatter:
    case Collective::all_to_all:
      return all_reduce.ns(bytes) / 2;
    case Collective::point_to_point:
      break;
  }
  return all_reduce.ns(bytes * real(ranks)) / real(2 * (ranks - 1));
}

}  // namespace tidemark
