// Small mixed-integer programs, many of them, from several threads.
#pragma once

#include "sim/milp.h"

namespace tidemark {

/// As solve(), for some hundred columns: nothing is simplified beforehand, and calls from several
/// threads do not wait for each other. The same bound and cost where the tree is searched to its
/// end.
[[nodiscard]] MilpAnswer solve_small(const Milp& problem, const MilpLimits& limits);

}  // namespace tidemark
