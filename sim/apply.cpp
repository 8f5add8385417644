// The transform: decisions carried out on a program (rules 1, 4, 6 and 10 of the architecture).
#include <fmt/format.h>

#include "sim/body_writer.h"
#include "sim/decisions.h"
#include "sim/plan.h"
#include "traces/error.h"

namespace tidemark {
namespace {

void require_source(const Trace& source) {
  if (source.program.body.empty()) {
    throw InputError(InputError::Parts{.file = {},
                                       .place = {},
                                       .expected = "a program to plan (level 2)",
                                       .found = fmt::format("level {}", source.meta.level)});
  }
  if (!source.decisions.empty()) {
    throw InputError(InputError::Parts{
        .file = {},
        .place = {},
        .expected = "a program without decisions; plan the trace that this one was made from",
        .found = fmt::format("{} decisions", source.decisions.size())});
  }
}

}  // namespace

Trace apply_plan(const Trace& source, const std::vector<Decision>& decisions) {
  require_source(source);
  return apply_plan(source, dataflow_of(source), decisions);
}

Trace apply_plan(const Trace& source, const Dataflow& flow,
                 const std::vector<Decision>& decisions) {
  require_source(source);
  std::vector<Decision> settled = decisions;
  const std::vector<AroundOp> plan = order_decisions(source, flow, settled);

  BodyWriter body(source, flow);
  for (std::size_t position = 0; position < flow.body.size(); ++position) {
    const OpId op = flow.body[position].op;
    const AroundOp& around = plan[position];
    const auto each = [&](const std::vector<DecisionId>& ids, auto action) {
      for (const DecisionId id : ids) {
        body.at(id, op);
        action(settled[id.index()]);
      }
    };
    // Memory is given up before it is asked for; a fetch is issued before anyone waits for one;
    // what is made again may read what was fetched.
    each(around.releases, [&](const Decision&) { body.release(); });
    each(around.fetches, [&](const Decision&) { body.fetch(); });
    each(around.arrivals, [&](const Decision&) { body.arrive(); });
    for (const AroundOp::Again& again : around.agains) {
      body.at(again.decision, op);
      body.clone(again.op, again.wanted);
    }
    body.run(op);
    each(around.stores, [&](const Decision& d) { body.store(d.buffer); });
  }

  Trace planned = body.finish();
  for (Decision& decision : settled) {
    if (decision.reason.empty()) decision.reason = reason_of(source, flow, decision);
  }
  planned.decisions = std::move(settled);
  planned.meta.kind = TraceKind::planned;
  if (planned.meta.source.empty()) planned.meta.source = source.meta.title;
  return planned;
}

}  // namespace tidemark
