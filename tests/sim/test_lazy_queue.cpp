#include "sim/lazy_queue.h"

#include "sim/random.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

/// The same answer by looking at everything.
BufferId least_of(const std::vector<double>& scores) {
  BufferId best;
  for (std::size_t row = 0; row < scores.size(); ++row) {
    if (scores[row] == LazyQueue::k_out) continue;
    if (!best.valid() || scores[row] < scores[best.index()]) best = BufferId{row};
  }
  return best;
}

}  // namespace

TEST_CASE("lazy queue: the least of all under random drift, as if all were looked up") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(static_cast<std::int64_t>(seed));
    constexpr std::size_t k_values = 40;
    std::vector<double> scores(k_values, LazyQueue::k_out);
    LazyQueue queue(k_values);
    std::int64_t looked_up = 0;
    for (int round = 0; round < 400; ++round) {
      for (double& score : scores) score += random.below(3) == 0 ? 0.0 : 1.0;  // all only grow
      const BufferId id{random.below(k_values)};
      double& score = scores[id.index()];
      switch (random.below(4)) {
        case 0:  // falls, or comes in; whole numbers, so that there are ties
          score = static_cast<double>(round + static_cast<int>(random.below(30)));
          queue.renew(id);
          break;
        case 1:  // goes out, announced or found out
          score = LazyQueue::k_out;
          if (random.below(2) == 0) queue.drop(id);
          break;
        default:
          break;
      }
      const BufferId found = queue.least([&](BufferId i) {
        ++looked_up;
        return scores[i.index()];
      });
      INFO("seed " << seed << " round " << round);
      REQUIRE(found == least_of(scores));
    }
    CHECK(looked_up < 400 * 20);
  }
}

TEST_CASE("lazy queue: empty, and empty again") {
  LazyQueue queue(2);
  const auto one = [](BufferId) { return 1.0; };
  CHECK_FALSE(queue.least(one).valid());
  queue.renew(BufferId{1});
  queue.renew(BufferId{1});
  CHECK(queue.least(one) == BufferId{1});
  CHECK(queue.least(one) == BufferId{1});  // it stays in
  queue.drop(BufferId{1});
  CHECK_FALSE(queue.least(one).valid());
}
