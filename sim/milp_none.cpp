// What there is when CBC was not found at build time.
#include "sim/milp.h"
#include "sim/milp_small.h"

namespace tidemark {

bool milp_available() {
  return false;
}

MilpAnswer solve(const Milp&, const MilpLimits&) {
  return {};
}

MilpAnswer solve_small(const Milp&, const MilpLimits&) {
  return {};
}

}  // namespace tidemark
