// What the decisions of a plan mean, position by position; here a plan is found legal or not.
#pragma once

#include <string>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// Everything that a plan adds around one op of the body. Rows of the decision list.
struct AroundOp {
  std::vector<DecisionId> releases;  // before the op, in this order
  std::vector<DecisionId> fetches;
  std::vector<DecisionId> arrivals;
  struct Again {
    OpId op;              // to be executed once more
    DecisionId decision;  // the first that asked for it
    std::vector<BufferId> wanted;
  };
  std::vector<Again> agains;       // in the order of the source
  std::vector<DecisionId> stores;  // after the op
};

/// By position of the body, and one more for its end, which has releases only. Missing release and
/// fetch points are filled in: released as soon as possible, fetched at the last moment. Throws
/// InputError that names the decision. A buffer may be made again for op o when it is an operand of
/// o, an input of a producer that is executed again for o, or another output of such a producer; or
/// when somebody needs it after o: it may come back early, while the inputs of its producer are
/// there. Optimizer state (Value::parkable) may be offloaded until its first use: it waits on the
/// host between its last use and the first one of the next step. Its release point is any op after
/// the last use, by default the end of the body.
[[nodiscard]] std::vector<AroundOp> order_decisions(const Trace& source, const Dataflow& flow,
                                                    std::vector<Decision>& decisions);

/// "evicted: 1.2 MiB idle for 41 ops, costs 0.3 ms to make again"; "moved to the host: ..."
[[nodiscard]] std::string reason_of(const Trace& source, const Dataflow& flow,
                                    const Decision& decision);

}  // namespace tidemark
