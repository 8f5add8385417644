// Ranks that are threads with a fake device each: what they ask NCCL for, in which order, and how
// they end.
#include "profiler/cuda/nccl_communicator.h"

#include <functional>
#include <thread>

#include "fake_nccl.h"
#include "fake_plugin.h"
#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Ranks = std::vector<std::int32_t>;

/// A program that has nothing but a collective in each of these groups.
Trace meeting(std::int32_t rank, const std::vector<Ranks>& groups) {
  Trace trace;
  trace.meta.rank = rank;
  for (const Ranks& ranks : groups) {
    const auto row = static_cast<std::int64_t>(trace.groups.size());
    trace.groups.push_back({.name = "g", .ranks = ranks});
    if (std::ranges::find(ranks, rank) == ranks.end()) continue;
    Op op;
    op.kind = OpKind::all_reduce;
    op.attributes = {{.name = "group", .integer = row}};
    trace.ops.push_back(op);
  }
  return trace;
}

/// For threads, in which Catch2 knows no assertions.
void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

struct Rank {
  std::int32_t rank;
  Communicator& between;
  const cuda::PluginApi& api;
  void* stream;

  void drain() const {
    for (bool is_idle = false; !is_idle;) {
      expect(api.query(stream, &is_idle) == 0, "query");
      if (!is_idle) between.require_going();
    }
  }
  [[nodiscard]] CollectiveCall call(OpKind kind, const Ranks& ranks, std::vector<float>& x,
                                    std::vector<float>& y) const {
    return {.kind = kind,
            .ranks = ranks,
            .rank = rank,
            .x = reinterpret_cast<std::byte*>(x.data()),
            .y = reinterpret_cast<std::byte*>(y.data()),
            .elements = static_cast<std::int64_t>(x.size()),
            .stream = stream};
  }
};

/// Each rank in a thread. Returns what each threw; empty = nothing.
std::vector<std::string> in_ranks(std::int32_t count, FakePlugin& fake, FakeNccl& nccl,
                                  const std::vector<Ranks>& groups,
                                  const std::function<void(const Rank&)>& body) {
  const auto team = make_thread_team(count);
  std::vector<std::string> errors(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (std::int32_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      const auto place = static_cast<std::size_t>(rank);
      fake.api.open(rank);
      void* stream = nullptr;
      fake.api.make_stream(&stream);
      try {
        const Trace program = meeting(rank, groups);
        const auto between = make_nccl_communicator(*team[place], nccl.api, program);
        try {
          body({rank, *between, fake.api, stream});
        } catch (...) {
          between->stop();
          throw;
        }
      } catch (const std::exception& error) {
        errors[place] = error.what();
        team[place]->stop();
      }
      fake.api.synchronize(stream);
      fake.api.drop_stream(stream);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace

TEST_CASE("nccl: collectives stand in the stream and give what the thread team gives") {
  FakePlugin fake(3);
  FakeNccl nccl;
  const Ranks all{0, 1, 2};
  const auto errors = in_ranks(3, fake, nccl, {all}, [&](const Rank& r) {
    const auto mine = static_cast<float>(r.rank + 1);
    std::vector<float> sum{mine, 10 * mine};
    std::vector<float> parts{mine, 2 * mine, 3 * mine};
    std::vector<float> part(1), one{mine}, gathered(3), none;
    r.between.run(r.call(OpKind::all_reduce, all, sum, none));
    r.between.run(r.call(OpKind::reduce_scatter, all, parts, part));
    r.between.run(r.call(OpKind::all_gather, all, one, gathered));
    r.drain();
    expect(sum == std::vector<float>{6, 60}, "all_reduce");
    expect(part[0] == 6 * mine, "reduce_scatter");
    expect(gathered == std::vector<float>{1, 2, 3}, "all_gather");
    expect(r.between.share(std::vector{1.0 * r.rank}) == std::vector{0.0, 1.0, 2.0}, "share");
  });
  CHECK(errors == std::vector<std::string>(3));
  CHECK(nccl.calls_of(1) == std::vector<std::string>{"join 1/3", "all_reduce 2 f32",
                                                     "reduce_scatter 1 f32", "all_gather 1 f32"});
  CHECK(nccl.live == 0);
  CHECK(nccl.aborted == 0);
  CHECK(fake.live_handles == 0);
}

TEST_CASE("nccl: an all_to_all is messages in one group of calls") {
  FakePlugin fake(2);
  FakeNccl nccl;
  const Ranks all{0, 1};
  const std::vector<std::int64_t> shape{2, 4};
  const auto errors = in_ranks(2, fake, nccl, {all}, [&](const Rank& r) {
    // Rows are split, columns joined: rank 0 gets the first rows of both beside each other.
    std::vector<float> x(8), y(8);
    for (std::size_t i = 0; i < 8; ++i)
      x[i] = static_cast<float>(100 * r.rank) + static_cast<float>(i);
    CollectiveCall call = r.call(OpKind::all_to_all, all, x, y);
    call.shape = shape;
    call.split = 0;
    call.join = 1;
    r.between.run(call);
    r.drain();
    expect(y == (r.rank == 0 ? std::vector<float>{0, 1, 2, 3, 100, 101, 102, 103}
                             : std::vector<float>{4, 5, 6, 7, 104, 105, 106, 107}),
           "all_to_all");
  });
  CHECK(errors == std::vector<std::string>(2));
  CHECK(nccl.calls_of(0) == std::vector<std::string>{"join 0/2", "exchange 4 messages"});
}

TEST_CASE("nccl: each rank joins the groups that it has a collective in, in one order for all") {
  FakePlugin fake(4);
  FakeNccl nccl;
  // Rows in an order in which ranks would wait for each other in a circle.
  const std::vector<Ranks> groups{{2, 3}, {0, 2}, {1, 3}, {0, 1}, {0, 1, 2, 3}, {0, 2}};
  const auto errors = in_ranks(4, fake, nccl, groups, [](const Rank&) {});
  CHECK(errors == std::vector<std::string>(4));
  CHECK(nccl.calls_of(0) == std::vector<std::string>{"join 0/2", "join 0/4", "join 0/2"});
  CHECK(nccl.live == 0);
}

TEST_CASE("nccl: a rank that stops ends the waiting of those whose device waits for it") {
  FakePlugin fake(2);
  FakeNccl nccl;
  const Ranks all{0, 1};
  const auto errors = in_ranks(2, fake, nccl, {all}, [&](const Rank& r) {
    if (r.rank == 1) throw std::runtime_error("out of memory");
    std::vector<float> x{1}, none;
    r.between.run(r.call(OpKind::all_reduce, all, x, none));
    r.drain();
    expect(false, "the other rank never came");
  });
  CHECK(errors[0] == TeamStopped().what());
  CHECK(errors[1] == "out of memory");
  CHECK(nccl.aborted == 2);
  CHECK(nccl.live == 0);
}

TEST_CASE("nccl: what it says of a broken way is said once, and all are told") {
  FakePlugin fake(2);
  FakeNccl nccl;
  nccl.breaks_at = 0;
  const Ranks all{0, 1};
  const auto errors = in_ranks(2, fake, nccl, {all}, [&](const Rank& r) {
    if (r.rank == 0) {
      std::vector<float> x{1}, none;
      r.between.run(r.call(OpKind::all_reduce, all, x, none));
    }
    for (;;) r.between.require_going();
  });
  CHECK(errors[0] == "NCCL: remote process exited: no cable");
  CHECK(errors[1] == TeamStopped().what());
  CHECK(nccl.live == 0);
}

TEST_CASE("nccl: who cannot make a name for its group lets the others go") {
  FakePlugin fake(2);
  FakeNccl nccl;
  nccl.refuses_names = true;
  const auto errors =
      in_ranks(2, fake, nccl, {{0, 1}}, [](const Rank&) { expect(false, "joined"); });
  CHECK(errors[0] == "NCCL: invalid");
  CHECK(errors[1] == TeamStopped().what());
}

TEST_CASE("nccl: after the end nothing is begun any more") {
  FakePlugin fake(1);
  FakeNccl nccl;
  const auto errors = in_ranks(1, fake, nccl, {{0}}, [](const Rank& r) {
    r.between.stop();
    std::vector<float> x{1}, none;
    const Ranks all{0};
    bool is_refused = false;
    try {
      r.between.run(r.call(OpKind::all_reduce, all, x, none));
    } catch (const TeamStopped&) {
      is_refused = true;
    }
    expect(is_refused, "run after the end");
    r.between.require_going();  // and waits for nothing
  });
  CHECK(errors[0].empty());
}
