// Time of collective operations: from latency and bandwidth of a link, or from measured times.
//
// `bytes` is always the full size: what each rank has before an all-reduce, reduce-scatter or
// all-to-all, and after an all-gather.
#pragma once

#include <cstdint>
#include <vector>

#include "traces/enums.h"

namespace tidemark {

enum class Collective : std::uint8_t {
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  point_to_point,
};

template <>
struct EnumNames<Collective> {
  static constexpr std::string_view k_type = "collective";
  static constexpr auto k_names = std::to_array<std::string_view>(
      {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point"});
};

/// The Hockney model: a message of S bytes takes latency + S / bandwidth.
struct Link {
  double latency_ns = 0;
  double bytes_per_ns = 1;  // = GB/s
  bool operator==(const Link&) const = default;
};

/// By a ring, or pairwise for all-to-all (Thakur, Rabenseifner, Gropp 2005, section 4). 0 for one
/// rank. All-reduce: 2(n-1) messages of S/n; all-gather, reduce-scatter, all-to-all: n-1;
/// point to point: one of S.
[[nodiscard]] double ring_ns(Collective collective, const Link& link, std::int64_t ranks,
                             double bytes);

/// All-reduce up and down a binary tree in pipelined pieces: 2 ceil(log2 n) latencies, and the
/// bytes twice (Sanders, Speck, Traeff 2009).
[[nodiscard]] double tree_all_reduce_ns(const Link& link, std::int64_t ranks, double bytes);

/// Nodes of the same number of ranks; ranks of a group fill node after node.
struct Topology {
  Link inside;   // between ranks of a node
  Link between;  // of one rank to its peer in another node
  std::int64_t node_ranks = 1;
  bool operator==(const Topology&) const = default;
};

/// Over `ranks` ranks; those beyond one node must fill whole nodes (else InputError). All-reduce:
/// reduce-scatter in the node, ring or tree between the nodes over 1/node_ranks of the bytes,
/// whichever is faster, all-gather in the node. Gather and scatter likewise in two parts. All-to-
/// all: in the node, then between nodes what leaves it. Point to point: between nodes if there are
/// several.
[[nodiscard]] double hierarchical_ns(Collective collective, const Topology& topology,
                                     std::int64_t ranks, double bytes);

struct TimeSample {
  double bytes = 0;
  double ns = 0;
  bool operator==(const TimeSample&) const = default;
};

/// Measured times of one collective over one group, linear between neighbours. Below the first
/// sample its segment goes on, never under half of its time; above the last, the slope over the
/// upper half.
class TimeTable {
 public:
  /// Any order; samples of the same size are averaged. Throws InputError without samples, or when
  /// one is not positive and finite.
  explicit TimeTable(std::vector<TimeSample> samples);
  [[nodiscard]] double ns(double bytes) const;
  [[nodiscard]] const std::vector<TimeSample>& samples() const { return samples_; }

 private:
  std::vector<TimeSample> samples_;  // ascending, each size once
};

/// The link with the least squared relative error of ring_ns over the samples of an all-reduce;
/// latency not negative. InputError when fewer than two sizes are given.
[[nodiscard]] Link fit_link(const std::vector<TimeSample>& all_reduce, std::int64_t ranks);

/// Another collective of the same group from its measured all-reduce: all-gather and reduce-scatter
/// are its two halves, all-to-all moves what a half moves, and a message to one rank is one of its
/// 2(n-1) pieces.
[[nodiscard]] double from_all_reduce_ns(Collective collective, const TimeTable& all_reduce,
                                        std::int64_t ranks, double bytes);

}  // namespace tidemark
