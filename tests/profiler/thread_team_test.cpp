#include <array>
#include <atomic>
#include <functional>
#include <thread>

#include "profiler/clock.h"
#include "profiler/communicator.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

using Numbers = std::vector<float>;

/// Runs `body` for each rank in its own thread; all of them are done on return.
void on_all_ranks(std::int32_t ranks,
                  const std::function<void(std::int32_t, Communicator&)>& body) {
  const auto team = make_thread_team(ranks);
  std::vector<std::thread> threads;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] { body(rank, *team[static_cast<std::size_t>(rank)]); });
  }
  for (std::thread& thread : threads) thread.join();
}

std::byte* bytes_of(Numbers& numbers, std::size_t first = 0) {
  return reinterpret_cast<std::byte*>(numbers.data() + first);
}

/// Numbers whose sum depends on the order in which they are added.
Numbers numbers_of(std::int32_t rank, std::size_t count) {
  Numbers out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>((static_cast<int>(i) * 37 + rank * 11) % 101 - 50) *
             (rank % 2 == 0 ? 1e-4F : 1e4F);
  }
  return out;
}

Numbers sum_in_order(std::int32_t ranks, std::size_t count) {
  Numbers sum = numbers_of(0, count);
  for (std::int32_t rank = 1; rank < ranks; ++rank) {
    const Numbers one = numbers_of(rank, count);
    for (std::size_t i = 0; i < count; ++i) sum[i] += one[i];
  }
  return sum;
}

const std::vector<std::int32_t> k_three{0, 1, 2};

}  // namespace

TEST_CASE("what waiting for others takes is told apart from the work on their data") {
  const std::vector<std::int32_t> both{0, 1};
  std::array<std::int64_t, 2> before_ns{}, waiting_ns{}, spent_ns{};
  on_all_ranks(2, [&](std::int32_t rank, Communicator& others) {
    const auto row = static_cast<std::size_t>(rank);
    Numbers x = numbers_of(rank, 1 << 20);
    before_ns[row] = others.waiting_cpu_ns();
    const std::int64_t begin_ns = thread_cpu_ns();
    others.run({.kind = OpKind::all_reduce,
                .ranks = both,
                .rank = rank,
                .x = bytes_of(x),
                .elements = std::ssize(x)});
    spent_ns[row] = thread_cpu_ns() - begin_ns;
    waiting_ns[row] = others.waiting_cpu_ns();
  });
  for (std::size_t row = 0; row < 2; ++row) {
    CHECK(before_ns[row] == 0);
    CHECK(waiting_ns[row] > 0);
    CHECK(waiting_ns[row] < spent_ns[row]);
  }
}

TEST_CASE("all_reduce gives every rank the sum in the order of the ranks") {
  for (const std::size_t count : {1U, 2U, 7U, 5000U}) {
    std::array<Numbers, 3> results;
    on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
      Numbers& x = results[static_cast<std::size_t>(rank)];
      x = numbers_of(rank, count);
      others.run({.kind = OpKind::all_reduce,
                  .ranks = k_three,
                  .rank = rank,
                  .x = bytes_of(x),
                  .elements = static_cast<std::int64_t>(count)});
    });
    for (const Numbers& x : results) CHECK(x == sum_in_order(3, count));
  }
}

TEST_CASE("reduce_scatter gives every rank its part, to a place of its own or in place") {
  constexpr std::size_t k_part = 1500;
  for (const bool in_place : {false, true}) {
    std::array<Numbers, 3> results;
    on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
      Numbers x = numbers_of(rank, 3 * k_part);
      Numbers y(k_part);
      const std::size_t first = static_cast<std::size_t>(rank) * k_part;
      others.run({.kind = OpKind::reduce_scatter,
                  .ranks = k_three,
                  .rank = rank,
                  .x = bytes_of(x),
                  .y = in_place ? bytes_of(x, first) : bytes_of(y),
                  .elements = 3 * k_part});
      if (in_place) y.assign(x.begin() + static_cast<std::ptrdiff_t>(first), x.end());
      y.resize(k_part);
      results[static_cast<std::size_t>(rank)] = y;
    });
    Numbers all;
    for (const Numbers& part : results) all.insert(all.end(), part.begin(), part.end());
    CHECK(all == sum_in_order(3, 3 * k_part));
  }
}

TEST_CASE("all_gather puts the parts behind each other, also in place and in a smaller group") {
  const std::vector<std::int32_t> two{0, 2};
  std::array<Numbers, 3> results;
  on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
    if (rank == 1) return;
    Numbers y(4, -1);
    const std::size_t place = rank == 0 ? 0 : 2;
    y[place] = static_cast<float>(rank + 1);
    y[place + 1] = static_cast<float>(rank + 5);
    others.run({.kind = OpKind::all_gather,
                .ranks = two,
                .rank = rank,
                .x = bytes_of(y, place),
                .y = bytes_of(y),
                .elements = 2});
    results[static_cast<std::size_t>(rank)] = y;
  });
  CHECK(results[0] == Numbers{1, 5, 3, 7});
  CHECK(results[2] == results[0]);
}

TEST_CASE("all_to_all splits along one dimension and joins along another, and the way back too") {
  // x [4, 2, 3] of rank r: expert e, slot s, channel c is 1000 r + 100 e + 10 s + c.
  const std::vector<std::int32_t> two{0, 2};
  const std::vector<std::int64_t> mine{4, 2, 3}, theirs{2, 4, 3};
  std::array<Numbers, 3> there, back;
  on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
    if (rank == 1) return;
    Numbers x;
    for (const int e : {0, 1, 2, 3}) {
      for (const int s : {0, 1}) {
        for (const int c : {0, 1, 2}) {
          x.push_back(static_cast<float>(1000 * rank + 100 * e + 10 * s + c));
        }
      }
    }
    Numbers y(24), z(24);
    CollectiveCall call{.kind = OpKind::all_to_all,
                        .ranks = two,
                        .rank = rank,
                        .x = bytes_of(x),
                        .y = bytes_of(y),
                        .elements = 24,
                        .shape = mine,
                        .split = 0,
                        .join = 1};
    others.run(call);
    call.x = bytes_of(y);
    call.y = bytes_of(z);
    call.shape = theirs;
    std::swap(call.split, call.join);
    others.run(call);
    there[static_cast<std::size_t>(rank)] = y;
    back[static_cast<std::size_t>(rank)] = z == x ? Numbers{1} : Numbers{0};
  });
  // Rank 2 has experts 2 and 3, each with the slots of rank 0 and then its own.
  CHECK(there[2] == Numbers{200, 201, 202, 210, 211, 212, 2200, 2201, 2202, 2210, 2211, 2212,
                            300, 301, 302, 310, 311, 312, 2300, 2301, 2302, 2310, 2311, 2312});
  CHECK(there[0][6] == 2000);
  CHECK(back[0] == Numbers{1});
  CHECK(back[2] == Numbers{1});
}

TEST_CASE("shared values come in the order of the ranks, every time") {
  on_all_ranks(2, [](std::int32_t rank, Communicator& others) {
    for (int round = 0; round < 100; ++round) {
      const std::array mine{static_cast<double>(rank), static_cast<double>(round)};
      const std::vector<double> expected{0, static_cast<double>(round), 1,
                                         static_cast<double>(round)};
      if (others.share(mine) != expected) throw std::logic_error("wrong values");
    }
  });
}

TEST_CASE("when a third rank stops the team, two that have come together part together") {
  const std::vector<std::int32_t> two{0, 1};
  for (int again = 0; again < 50; ++again) {
    std::array<int, 2> done{};  // collectives that each of the two has ended
    std::atomic<int> begun{0};
    on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
      if (rank == 2) {
        while (begun < 4 + again) std::this_thread::yield();
        return others.stop();
      }
      Numbers x = numbers_of(rank, 20'000);
      const CollectiveCall call{.kind = OpKind::all_reduce,
                                .ranks = two,
                                .rank = rank,
                                .x = bytes_of(x),
                                .elements = std::ssize(x)};
      try {
        for (;; ++done[static_cast<std::size_t>(rank)]) {
          ++begun;
          others.run(call);
        }
      } catch (const TeamStopped&) {
      }
    });
    REQUIRE(done[0] == done[1]);
  }
}

TEST_CASE("a rank that stops the team ends the waiting of all others, now and later") {
  std::atomic<int> stopped{0};
  on_all_ranks(3, [&](std::int32_t rank, Communicator& others) {
    if (rank == 1) return others.stop();
    Numbers x(4, 1);
    const CollectiveCall call{.kind = OpKind::all_reduce,
                              .ranks = k_three,
                              .rank = rank,
                              .x = bytes_of(x),
                              .elements = 4};
    for (int again = 0; again < 2; ++again) {
      try {
        others.run(call);
      } catch (const TeamStopped&) {
        ++stopped;
      }
    }
  });
  CHECK(stopped == 4);
}
