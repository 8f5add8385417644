// Ticks of an axis.
#include "sim/report_plots.h"

#include "../catch.h"

using namespace tidemark;

TEST_CASE("report plots: ticks are round, begin at 0 and are few") {
  CHECK(axis_ticks(80) == std::vector<double>{0, 20, 40, 60, 80});
  CHECK(axis_ticks(1) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  CHECK(axis_ticks(0).empty());
  for (double most = 1e-6; most < 1e9; most *= 1.7) {
    const std::vector<double> ticks = axis_ticks(most);
    CAPTURE(most);
    CHECK(ticks.size() >= 3);
    CHECK(ticks.size() <= 6);
    CHECK(ticks.back() <= most * (1 + 1e-9));
    CHECK(ticks.back() >= most * 0.6);
  }
}
