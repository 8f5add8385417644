// Collectives against the message count of their algorithms, and against measured times.
#include "sim/collectives.h"

#include <cmath>
#include <map>

#include "../catch.h"
#include "csv_rows.h"
#include "sim/random.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr Link k_fast{.latency_ns = 1000, .bytes_per_ns = 100};
constexpr Link k_slow{.latency_ns = 5000, .bytes_per_ns = 10};
constexpr double k_mib = 1 << 20;

/// Counts what a ring of `n` ranks sends, step by step: which piece each rank has summed how often.
double simulated_ring_ns(std::int64_t n, double bytes) {
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(n));
  for (auto& of_rank : sums) of_rank.assign(static_cast<std::size_t>(n), 1);
  double ns = 0;
  const auto complete = [&] {
    for (const auto& of_rank : sums) {
      for (const std::int64_t sum : of_rank) {
        if (sum != n) return false;
      }
    }
    return true;
  };
  for (std::int64_t step = 0; !complete(); ++step) {
    const auto before = sums;
    for (std::int64_t rank = 0; rank < n; ++rank) {
      const std::int64_t piece = ((rank - step) % n + n) % n;
      const auto to = static_cast<std::size_t>((rank + 1) % n);
      const auto at = static_cast<std::size_t>(piece);
      const std::int64_t sent = before[static_cast<std::size_t>(rank)][at];
      sums[to][at] = step < n - 1 ? sums[to][at] + sent : sent;
    }
    ns += k_fast.latency_ns + bytes / static_cast<double>(n) / k_fast.bytes_per_ns;
  }
  return ns;
}

using Group = std::pair<std::string, std::int64_t>;

std::map<Group, std::vector<TimeSample>> measured(const std::string& file) {
  std::map<Group, std::vector<TimeSample>> tables;
  for (const CsvRow& row : csv_rows(read_file(file))) {
    tables[{row["gpu"], row.integer("n_gpus")}].push_back(
        {row.number("bytes"), row.number("time_ns")});
  }
  return tables;
}

}  // namespace

TEST_CASE("collectives: a ring takes as many messages as one that is played through") {
  for (std::int64_t n = 2; n <= 9; ++n) {
    CAPTURE(n);
    CHECK(ring_ns(Collective::all_reduce, k_fast, n, k_mib) == Approx(simulated_ring_ns(n, k_mib)));
    CHECK(ring_ns(Collective::all_gather, k_fast, n, k_mib) ==
          Approx(simulated_ring_ns(n, k_mib) / 2));
  }
}

TEST_CASE("collectives: one rank has nothing to do, point to point is one message") {
  for (std::size_t i = 0; i < EnumNames<Collective>::k_names.size(); ++i) {
    CHECK(ring_ns(static_cast<Collective>(i), k_fast, 1, k_mib) == 0);
  }
  CHECK(ring_ns(Collective::point_to_point, k_fast, 2, 1000) == 1010);
  CHECK(ring_ns(Collective::all_to_all, k_fast, 4, 4000) == 3 * (1000 + 10));
  CHECK(tree_all_reduce_ns(k_fast, 1, k_mib) == 0);
}

TEST_CASE("collectives: a tree has the shorter latency, a ring the higher bandwidth") {
  CHECK(tree_all_reduce_ns(k_fast, 8, 0) == 6 * k_fast.latency_ns);
  CHECK(tree_all_reduce_ns(k_fast, 9, 0) == 8 * k_fast.latency_ns);
  CHECK(tree_all_reduce_ns(k_fast, 64, 100) < ring_ns(Collective::all_reduce, k_fast, 64, 100));
  CHECK(tree_all_reduce_ns(k_fast, 64, 1e9) > ring_ns(Collective::all_reduce, k_fast, 64, 1e9));
}

TEST_CASE("collectives: over nodes, only a part of the bytes crosses the slow link") {
  const Topology nodes{.inside = k_fast, .between = k_slow, .node_ranks = 8};
  const auto of = [&nodes](Collective c, std::int64_t ranks) {
    return hierarchical_ns(c, nodes, ranks, 64 * k_mib);
  };
  CHECK(of(Collective::all_reduce, 4) == ring_ns(Collective::all_reduce, k_fast, 4, 64 * k_mib));
  CHECK(of(Collective::all_reduce, 32) ==
        ring_ns(Collective::all_reduce, k_fast, 8, 64 * k_mib) +
            ring_ns(Collective::all_reduce, k_slow, 4, 8 * k_mib));
  CHECK(of(Collective::all_reduce, 32) ==
        Approx(of(Collective::all_gather, 32) + of(Collective::reduce_scatter, 32)));
  CHECK(of(Collective::all_reduce, 32) < ring_ns(Collective::all_reduce, k_slow, 32, 64 * k_mib));
  CHECK(of(Collective::point_to_point, 16) == k_slow.latency_ns + 64 * k_mib / 10);
  CHECK(of(Collective::all_to_all, 32) > of(Collective::all_gather, 32));
  CHECK_THROWS_WITH(of(Collective::all_reduce, 12), Catch::Contains("whole nodes of 8 ranks"));
}

TEST_CASE("collectives: a table gives back its samples and lies between neighbours") {
  const TimeTable table({{4, 40}, {1, 10}, {2, 30}, {2, 20}});
  CHECK(table.samples() == std::vector<TimeSample>{{1, 10}, {2, 25}, {4, 40}});
  CHECK(table.ns(1) == 10);
  CHECK(table.ns(2) == 25);
  CHECK(table.ns(4) == 40);
  CHECK(table.ns(3) == 32.5);
  CHECK(table.ns(0.5) == 5);
  CHECK(table.ns(0.9) == 8.5);
  CHECK(table.ns(8) == 40 + 4 * 7.5);
  CHECK(TimeTable({{7, 3}}).ns(1e9) == 3);
}

TEST_CASE("collectives: bad samples are refused") {
  CHECK_THROWS_AS(TimeTable({}), InputError);
  CHECK_THROWS_WITH(TimeTable({{1, -1}}), Catch::Contains("1 bytes in -1 ns"));
  CHECK_THROWS_AS(TimeTable({{1, std::nan("")}}), InputError);
  CHECK_THROWS_AS(fit_link({{5, 3}, {5, 4}}, 4), InputError);
  CHECK_THROWS_AS(fit_link({{5, 3}, {6, 4}}, 1), InputError);
  CHECK_THROWS_AS(fit_link({{5, 4}, {6, 2}}, 2), InputError);
}

TEST_CASE("collectives: a link is found again from the times that it makes") {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    const Link link{.latency_ns = 100 + 1e4 * random.unit(),
                    .bytes_per_ns = 1 + 500 * random.unit()};
    const auto ranks = static_cast<std::int64_t>(2 + random.below(15));
    std::vector<TimeSample> samples;
    for (int i = 0; i < 10; ++i) {
      const double bytes = k_mib * std::ldexp(1, i);
      samples.push_back({bytes, ring_ns(Collective::all_reduce, link, ranks, bytes)});
    }
    const Link found = fit_link(samples, ranks);
    CHECK(found.latency_ns == Approx(link.latency_ns));
    CHECK(found.bytes_per_ns == Approx(link.bytes_per_ns));
    const TimeTable table(samples);
    for (const Collective c : {Collective::all_reduce, Collective::all_gather,
                               Collective::all_to_all, Collective::point_to_point}) {
      CHECK(from_all_reduce_ns(c, table, ranks, 3 * k_mib) ==
            Approx(ring_ns(c, link, ranks, 3 * k_mib)));
    }
  }
}

TEST_CASE("collectives: links fitted to measured all-reduce times") {
  const std::string folder = shared_data("capacity");
  if (folder.empty()) {
    WARN("skipped: no shared data (TIDEMARK_SHARED_DATA)");
    return;
  }
  // Bus bandwidths of the same fit elsewhere, 1 MiB to 1 GiB: 227 GB/s on 8 A100, 136 on 8 V100,
  // 22.6 on 2 V100.
  const auto tables = measured(folder + "/vtrain_nccl_allreduce.csv");
  CHECK(fit_link(tables.at({"a100", 8}), 8).bytes_per_ns == Approx(227).epsilon(0.03));
  CHECK(fit_link(tables.at({"v100", 8}), 8).bytes_per_ns == Approx(136).epsilon(0.03));
  CHECK(fit_link(tables.at({"v100", 2}), 2).bytes_per_ns == Approx(22.6).epsilon(0.03));
}
