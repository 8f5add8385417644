#include "profiler/cupti/buffer_pool.h"

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "../../catch.h"

using namespace tidemark;

TEST_CASE("buffer pool: lent, completed, drained, and lent again") {
  ActivityBufferPool pool(64, 2);
  std::uint8_t* a = pool.lend();
  std::uint8_t* b = pool.lend();
  REQUIRE(a != nullptr);
  REQUIRE(b != nullptr);
  CHECK(a != b);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 8 == 0);
  CHECK(pool.lend() == nullptr);
  CHECK(pool.touched_bytes() == 128);
  std::memset(a, 7, 64);
  CHECK(pool.complete(a, 24));
  CHECK_FALSE(pool.complete(a, 24));  // it is not lent any more
  CHECK_FALSE(pool.complete(b + 8, 8));
  CHECK_FALSE(pool.complete(nullptr, 8));
  std::vector<std::size_t> sizes;
  pool.drain([&](std::span<std::uint8_t> bytes) {
    sizes.push_back(bytes.size());
    CHECK(bytes[0] == 7);
    CHECK(pool.lend() == nullptr);  // it is read first, then free
  });
  CHECK(sizes == std::vector<std::size_t>{24});
  CHECK(pool.lend() == a);
  CHECK(pool.complete(b, 1000));  // CUPTI never says more than the buffer has; we do not believe it
  pool.drain([&](std::span<std::uint8_t> bytes) { CHECK(bytes.size() == 64); });
}

TEST_CASE("buffer pool: sizes that cannot be") {
  CHECK_THROWS_AS(ActivityBufferPool(0, 1), std::logic_error);
  CHECK_THROWS_AS(ActivityBufferPool(12, 1), std::logic_error);
  CHECK_THROWS_AS(ActivityBufferPool(64, 65), std::logic_error);
  CHECK(ActivityBufferPool(64, 64).lend() != nullptr);
}

TEST_CASE("buffer pool: threads that lend and complete never share a buffer") {
  ActivityBufferPool pool(64, 4);
  constexpr int k_threads = 3;
  constexpr std::uint64_t k_each = 300;
  std::atomic<int> running{k_threads};
  std::vector<std::thread> threads;
  for (int t = 0; t < k_threads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < k_each;) {
        std::uint8_t* buffer = pool.lend();
        if (buffer == nullptr) {
          std::this_thread::yield();
          continue;
        }
        const std::uint64_t value = static_cast<std::uint64_t>(t) * k_each + i++;
        std::memcpy(buffer, &value, sizeof value);
        pool.complete(buffer, sizeof value);
      }
      --running;
    });
  }
  std::set<std::uint64_t> seen;
  const auto drain = [&] {
    pool.drain([&](std::span<std::uint8_t> bytes) {
      std::uint64_t value = 0;
      std::memcpy(&value, bytes.data(), sizeof value);
      seen.insert(value);
    });
  };
  while (running > 0) {
    drain();
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  drain();
  CHECK(seen.size() == k_threads * k_each);
}
