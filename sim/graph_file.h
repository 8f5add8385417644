// Published graphs of training steps, as plain graphs to plan.
#pragma once

#include <string>
#include <vector>

#include "sim/schedule.h"

namespace tidemark {

struct GraphFile {
  PlainGraph graph;  // costs in ns, sizes in bytes; forward nodes first
  std::vector<std::string> names;
  Position backward_begin = -1;  // the first backward node; -1 = there is none
};

/// PipeDream profiles: "nodeK -- description -- forward_compute_time=ms, backward_compute_time=ms,
/// activation_size=bytes or [a; b], parameter_size=bytes" and "\tnodeA -- nodeB". The backward pass
/// is added: the node of K reads K, what K reads, and the nodes of those that read K; its output is
/// as large as that of K. The time of inputs is that of loading data and counts as 0.
/// dnn-partitioning JSON: `nodes` with id, fpgaLatency (ms), size, isBackwardNode; `edges` with
/// sourceId and destId. Where no edge leads from a forward to a backward node (layer graphs), the
/// backward pass is added as for PipeDream; colorClass tells which node is the backward of which.
/// Nodes are put into an order in which every node follows what it reads, forward ones first where
/// the edges allow. Throws InputError: not one of these forms, unknown or repeated nodes, cycles,
/// negative figures, sums that overflow.
[[nodiscard]] GraphFile graph_from_text(const std::string& text, const std::string& file);

/// As a body: what no node makes (inputs, weights: nodes that read nothing) stays for the whole
/// life of the graph's values and cannot be made again.
[[nodiscard]] Dataflow dataflow_of(const GraphFile& file);

}  // namespace tidemark
