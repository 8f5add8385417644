#include "profiler/thread_pool.h"

#include <stdexcept>

#include "tests/catch.h"

using namespace tidemark;

TEST_CASE("every part of every round runs once, on any number of threads") {
  for (const std::int64_t threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (std::int64_t round = 0; round < 500; ++round) {
      const std::int64_t count = round % 17;
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      pool.run(count, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
      for (const std::atomic<int>& one : calls) REQUIRE(one == 1);
    }
  }
}

TEST_CASE("parts run beside each other: each waits for the other one") {
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  pool.run(2, [&](std::int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  CHECK(arrived == 2);
}

TEST_CASE("what a part throws comes out of run, the other parts are done, and the pool goes on") {
  for (const std::int64_t threads : {1, 4}) {
    ThreadPool pool(threads);
    std::atomic<int> calls{0};
    const auto part = [&](std::int64_t i) {
      ++calls;
      if (i == 5) throw std::runtime_error("part 5");
    };
    CHECK_THROWS_WITH(pool.run(6, part), "part 5");
    CHECK(calls == 6);
    pool.run(3, [&](std::int64_t) { ++calls; });
    CHECK(calls == 9);
  }
}
