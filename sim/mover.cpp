#include "sim/mover.h"

#include <algorithm>
#include <limits>

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

constexpr std::size_t k_again_share = 6;  // of 8 inputs that are gone: made again too

}  // namespace

Mover::Mover(const ScheduleTask& task, std::int64_t limit_bytes, std::int64_t seed)
    : task_(task), state_(task, limit_bytes), random_(seed) {
  for (std::size_t i = 0; i < task.ops.size(); ++i) {
    const ScheduleTask::Op& op = task.ops[i];
    if (!op.makes.empty() && op.again_until > static_cast<Position>(i)) {
      movable_.push_back(static_cast<Position>(i));
    }
  }
}

void Mover::insert(Position stage, Position op) {
  state_.insert(stage, op);
  journal_.push_back({moment(stage, op), true});
}

void Mover::erase(Position stage, Position op) {
  state_.erase(stage, op);
  journal_.push_back({moment(stage, op), false});
}

void Mover::undo() {
  for (std::size_t i = journal_.size(); i-- > 0;) {
    const auto [m, inserted] = journal_[i];
    inserted ? state_.erase(stage_of(m), op_of(m)) : state_.insert(stage_of(m), op_of(m));
  }
  journal_.clear();
}

void Mover::apply(const std::vector<Change>& changes) {
  for (const auto [m, inserted] : changes) {
    inserted ? state_.insert(stage_of(m), op_of(m)) : state_.erase(stage_of(m), op_of(m));
  }
}

void Mover::adopt(const std::vector<Moment>& added) {
  journal_.clear();
  while (!state_.added().empty()) {
    const Moment m = state_.added().back();
    state_.erase(stage_of(m), op_of(m));
  }
  for (const Moment m : added) state_.insert(stage_of(m), op_of(m));
}

void Mover::propose() {
  const std::size_t kind = random_.below(16);
  if (kind < 5 || state_.added().empty()) return drop_some();
  if (kind < 9) return erase_some();
  if (kind < 12) return shift_some();
  if (kind < 15) {
    erase_some();
    return drop_some();
  }
  rebuild_some();
}

/// Takes out added executions of ops that lie near each other, and drops values until no more is
/// above the limit than before.
void Mover::rebuild_some() {
  if (state_.added().empty()) return;
  const std::int64_t excess = state_.excess_bytes();
  const Position center = op_of(some_added());
  const std::size_t most = 1 + random_.below(6);
  for (std::size_t i = 0; i < most && !state_.added().empty(); ++i) {
    for (int attempt = 0; attempt < 16; ++attempt) {
      if (state_.added().empty()) break;
      const Moment m = some_added();
      if (std::abs(op_of(m) - center) > 16) continue;
      erase_chain(stage_of(m), op_of(m));
      break;
    }
  }
  for (std::size_t i = 0; i < 3 * most && state_.excess_bytes() > excess; ++i) drop_some();
}

Moment Mover::some_added() {
  return state_.added()[random_.below(state_.added().size())];
}

void Mover::erase_some() {
  if (state_.added().empty()) return;
  const Moment m = some_added();
  erase_chain(stage_of(m), op_of(m));
}

/// Erases an added execution, and those whose only use was to feed it.
void Mover::erase_chain(Position stage, Position op) {
  erase(stage, op);
  prune_inputs(stage, op);
}

void Mover::prune_inputs(Position stage, Position op) {
  for (const std::int32_t id : task_.ops[at(op)].reads) {
    const Position producer = task_.values[static_cast<std::size_t>(id)].producer;
    if (producer < 0) continue;
    const Position made = state_.made_for(id, stage);
    if (made != producer && state_.is_useless(made, producer)) erase_chain(made, producer);
  }
}

/// A value that is live at a moment, and its op can run again. -1 when none was hit.
Position Mover::some_live_at(Moment when) {
  for (int attempt = 0; attempt < 12; ++attempt) {
    const Position op = movable_[random_.below(movable_.size())];
    if (op >= stage_of(when)) continue;
    const Position made = made_before(op, when);
    if (made < 0) continue;
    for (const std::int32_t id : task_.ops[at(op)].makes) {
      if (state_.end_of(id, made) > when) return op;
    }
  }
  return -1;
}

/// Stage of the last execution of `op` before `when`; -1 when there is none.
Position Mover::made_before(Position op, Moment when) const {
  const auto& stages = state_.stages(op);
  Position found = -1;
  for (const Position stage : stages) {
    if (moment(stage, op) < when) found = stage;
  }
  return found;
}

/// Half of the time one while something is made again: a value may also be absent just then.
Moment Mover::some_moment() {
  if (!state_.added().empty() && random_.below(2) == 0) return some_added();
  const auto stage = static_cast<Position>(random_.below(task_.ops.size()));
  return moment(stage, stage);
}

/// Removes a value between two of its uses.
void Mover::drop_some() {
  Moment when = random_.below(4) != 0 ? state_.over_limit(random_.next()) : -1;
  if (when < 0) when = some_moment();
  const Position op = some_live_at(when);
  if (op < 0) return;
  const Position next = next_use(op, when);
  if (next < 0 || !state_.can_insert(next, op)) return;
  depth_ = 0;
  make_again(next, op);
}

/// Stage of the first read of a value of `op` at or after `when`; -1 when there is none.
Position Mover::next_use(Position op, Moment when) const {
  Moment first = std::numeric_limits<Moment>::max();
  for (const std::int32_t id : task_.ops[at(op)].makes) {
    for (const Position reader : task_.values[static_cast<std::size_t>(id)].readers) {
      const auto& stages = state_.stages(reader);
      const Position from = stage_of(when) + (reader < op_of(when) ? 1 : 0);
      const auto place = std::lower_bound(stages.begin(), stages.end(), from);
      if (place != stages.end()) first = std::min(first, moment(*place, reader));
    }
  }
  return first == std::numeric_limits<Moment>::max() ? -1 : stage_of(first);
}

/// Runs `op` in `stage` too; inputs that are gone by then are kept longer or made again as well.
void Mover::make_again(Position stage, Position op) {
  if (++depth_ > 64) return;
  const Moment self = moment(stage, op);
  for (const std::int32_t id : task_.ops[at(op)].reads) {
    const Position producer = task_.values[static_cast<std::size_t>(id)].producer;
    if (producer < 0 || !state_.can_insert(stage, producer)) continue;
    if (state_.end_for(id, stage) > self) continue;
    if (random_.below(8) < k_again_share) make_again(stage, producer);
  }
  if (state_.can_insert(stage, op)) insert(stage, op);
  prune_same(stage, op);
}

/// The instance before the new one may be of no use any more.
void Mover::prune_same(Position stage, Position op) {
  const auto& stages = state_.stages(op);
  const auto place = std::lower_bound(stages.begin(), stages.end(), stage);
  if (place == stages.begin() || std::prev(place) == stages.begin()) return;
  const Position before = *std::prev(place);
  if (state_.is_useless(before, op)) erase_chain(before, op);
}

/// Moves an added execution to another stage.
void Mover::shift_some() {
  const Moment m = some_added();
  const Position op = op_of(m);
  Position target = stage_of(m);
  switch (random_.below(3)) {
    case 0:
      target += static_cast<Position>(random_.below(7)) - 3;
      break;
    case 1:
      target = stage_of(some_added());
      break;
    default:
      target = op + 1 + static_cast<Position>(random_.below(at(stage_of(m) - op)));
  }
  if (target >= static_cast<Position>(task_.ops.size()) || !state_.can_insert(target, op)) return;
  erase_chain(stage_of(m), op);
  depth_ = 0;
  if (state_.can_insert(target, op)) make_again(target, op);
  if (state_.can_insert(target, op)) return;
  if (state_.is_useless(target, op)) erase_chain(target, op);
}

}  // namespace tidemark
