#include "sim/schedule_state.h"

#include <algorithm>
#include <limits>

namespace tidemark {
namespace {

constexpr Position k_end = std::numeric_limits<Position>::max();

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}
std::size_t row(std::int32_t value) {
  return static_cast<std::size_t>(value);
}

bool is_flexible(const Value& value) {
  return value.recomputable && !value.uses.empty() && value.uses.front() == value.producer;
}

}  // namespace

ScheduleTask task_of(const Dataflow& flow) {
  ScheduleTask task;
  task.persistent_bytes = flow.persistent_bytes;
  task.values.resize(flow.values.size());
  task.ops.resize(flow.body.size());
  for (std::size_t i = 0; i < flow.values.size(); ++i) {
    const Value& value = flow.values[i];
    if (!value.local || value.uses.empty()) continue;
    ScheduleTask::Value& entry = task.values[i];
    entry.bytes = value.bytes;
    entry.begin = value.uses.front();
    entry.last = value.last_use();
    if (is_flexible(value)) entry.producer = value.producer;
    task.ops[at(entry.begin)].begin_bytes += value.bytes;
  }
  for (std::size_t i = 0; i < flow.body.size(); ++i) {
    const BodyOp& op = flow.body[i];
    ScheduleTask::Op& entry = task.ops[i];
    entry.cost_ns = op.duration_ns;
    for (const BufferId id : op.reads) {
      entry.reads.push_back(id.value);
      task.values[id.index()].readers.push_back(static_cast<Position>(i));
    }
    for (const BufferId id : op.outputs) {
      const Value& value = flow[id];
      entry.output_bytes += value.bytes;
      if (!is_flexible(value)) {
        entry.dropped_bytes += value.bytes;
        continue;
      }
      entry.makes.push_back(id.value);
      entry.again_until = value.valid_until;
    }
  }
  return task;
}

ScheduleState::ScheduleState(const ScheduleTask& task, std::int64_t limit_bytes)
    : task_(&task), limit_bytes_(limit_bytes), stages_(task.ops.size()), live_(task.ops.size()) {
  std::vector<std::int64_t> change(task.ops.size() + 1, 0);
  for (const ScheduleTask::Value& value : task.values) {
    if (value.begin < 0) continue;
    change[at(value.begin)] += value.bytes;
    change[at(value.last) + 1] -= value.bytes;
  }
  std::int64_t sum = task.persistent_bytes;
  for (std::size_t i = 0; i < task.ops.size(); ++i) {
    stages_[i] = {static_cast<Position>(i)};
    cost_ns_ += task.ops[i].cost_ns;
    live_[i] = sum += change[i];
    excess_bytes_ += excess(sum);
  }
}

bool ScheduleState::can_insert(Position stage, Position op) const {
  if (op >= stage || stage > task_->ops[at(op)].again_until) return false;
  const auto& stages = stages_[at(op)];
  return !std::binary_search(stages.begin(), stages.end(), stage);
}

/// Latest read in the stages [from, before); -1 when there is none.
Moment ScheduleState::last_read(const ScheduleTask::Value& value, Position from,
                                Position before) const {
  Moment last = -1;
  for (const Position reader : value.readers) {
    const auto& stages = stages_[at(reader)];
    Position stage = stages.back();
    if (stage >= before) {
      const auto next = std::lower_bound(stages.begin(), stages.end(), before);
      if (next == stages.begin()) continue;
      stage = *std::prev(next);
    }
    if (stage >= from) last = std::max(last, moment(stage, reader));
  }
  return last;
}

Moment ScheduleState::end_of(std::int32_t id, Position stage) const {
  const ScheduleTask::Value& value = task_->values[row(id)];
  const auto& made = stages_[at(value.producer)];
  const auto next = std::upper_bound(made.begin(), made.end(), stage);
  const Moment last = last_read(value, stage, next == made.end() ? k_end : *next);
  return std::max(last, moment(stage, value.producer));
}

Position ScheduleState::made_for(std::int32_t id, Position stage) const {
  const auto& made = stages_[at(task_->values[row(id)].producer)];
  if (made.back() <= stage) return made.back();
  return *std::prev(std::upper_bound(made.begin(), made.end(), stage));
}

Moment ScheduleState::end_for(std::int32_t id, Position stage) const {
  const ScheduleTask::Value& value = task_->values[row(id)];
  if (value.producer >= 0) return end_of(id, made_for(id, stage));
  return std::max(moment(value.last, value.last), last_read(value, 0, k_end));
}

bool ScheduleState::is_useless(Position stage, Position op) const {
  const Moment self = moment(stage, op);
  const auto& makes = task_->ops[at(op)].makes;
  return std::all_of(makes.begin(), makes.end(),
                     [&](std::int32_t id) { return end_of(id, stage) == self; });
}

void ScheduleState::set_live(std::int64_t& live, std::int64_t bytes) {
  excess_bytes_ += excess(bytes) - excess(live);
  live = bytes;
}

/// Adds to all executions strictly between two moments.
void ScheduleState::change(Moment after, Moment before, std::int64_t bytes) {
  if (after >= before || bytes == 0) return;
  if (log_ != nullptr) log_->push_back({after, before, bytes});
  const Position first = stage_of(after) + (op_of(after) >= stage_of(after) ? 1 : 0);
  const Position end = stage_of(before) + (op_of(before) > stage_of(before) ? 1 : 0);
  std::int64_t excess_change = 0;
  for (std::size_t i = at(first); i < at(std::max(first, end)); ++i) {
    const std::int64_t now = live_[i] + bytes;
    excess_change += excess(now) - excess(live_[i]);
    live_[i] = now;
  }
  excess_bytes_ += excess_change;
  auto index = std::upper_bound(added_.begin(), added_.end(), after) - added_.begin();
  for (auto i = static_cast<std::size_t>(index); i < added_.size() && added_[i] < before; ++i) {
    set_live(added_live_[i], added_live_[i] + bytes);
  }
}

void ScheduleState::insert(Position stage, Position op) {
  const ScheduleTask::Op& entry = task_->ops[at(op)];
  const Moment self = moment(stage, op);
  // The outputs: the instance before this one is needed up to its last read before this moment.
  std::int64_t own_bytes = entry.dropped_bytes;
  auto& stages = stages_[at(op)];
  const auto place = std::upper_bound(stages.begin(), stages.end(), stage);
  const Position before = *std::prev(place);
  for (const std::int32_t id : entry.makes) {
    const ScheduleTask::Value& value = task_->values[row(id)];
    if (end_of(id, before) < self) {
      own_bytes += value.bytes;
      continue;
    }
    const Moment last = std::max(last_read(value, before, stage), moment(before, op));
    change(last, self, -value.bytes);
  }
  // The execution itself: what lives across it also lives at the next one, where less begins.
  const auto index = std::lower_bound(added_.begin(), added_.end(), self) - added_.begin();
  const auto i = static_cast<std::size_t>(index);
  const bool added_next = i < added_.size() && stage_of(added_[i]) == stage;
  const std::int64_t across = added_next
                                  ? added_live_[i] - task_->ops[at(op_of(added_[i]))].output_bytes
                                  : live_[at(stage)] - task_->ops[at(stage)].begin_bytes;
  added_.insert(added_.begin() + index, self);
  added_live_.insert(added_live_.begin() + index, across + own_bytes);
  excess_bytes_ += excess(added_live_[i]);
  // The inputs are needed until here.
  for (const std::int32_t id : entry.reads) {
    change(end_for(id, stage), self + 1, task_->values[row(id)].bytes);
  }
  stages.insert(place, stage);
  cost_ns_ += entry.cost_ns;
}

void ScheduleState::erase(Position stage, Position op) {
  const ScheduleTask::Op& entry = task_->ops[at(op)];
  const Moment self = moment(stage, op);
  auto& stages = stages_[at(op)];
  const auto place = std::lower_bound(stages.begin(), stages.end(), stage);
  const Position before = *std::prev(place);
  const auto index = std::lower_bound(added_.begin(), added_.end(), self) - added_.begin();
  excess_bytes_ -= excess(added_live_[static_cast<std::size_t>(index)]);
  added_.erase(added_.begin() + index);
  added_live_.erase(added_live_.begin() + index);
  for (const std::int32_t id : entry.makes) {
    if (end_of(id, stage) == self) continue;
    change(end_of(id, before), self, task_->values[row(id)].bytes);
  }
  stages.erase(place);
  cost_ns_ -= entry.cost_ns;
  for (const std::int32_t id : entry.reads) {
    change(end_for(id, stage), self, -task_->values[row(id)].bytes);
  }
}

Moment ScheduleState::over_limit(std::uint64_t pick) const {
  if (excess_bytes_ == 0) return -1;
  const std::size_t count = live_.size() + added_.size();
  const std::size_t start = pick % count;
  for (std::size_t step = 0; step < count; ++step) {
    const std::size_t i = (start + step) % count;
    if (i < live_.size()) {
      if (live_[i] <= limit_bytes_) continue;
      return moment(static_cast<Position>(i), static_cast<Position>(i));
    }
    if (added_live_[i - live_.size()] > limit_bytes_) return added_[i - live_.size()];
  }
  return -1;
}

Schedule ScheduleState::schedule() const {
  Schedule schedule;
  schedule.again.resize(live_.size());
  for (const Moment m : added_) schedule.again[at(stage_of(m))].push_back(op_of(m));
  return schedule;
}

void ScheduleState::load(const Schedule& schedule) {
  while (!added_.empty()) erase(stage_of(added_.back()), op_of(added_.back()));
  for (std::size_t t = 0; t < schedule.again.size(); ++t) {
    const auto stage = static_cast<Position>(t);
    for (const Position op : schedule.again[t]) {
      if (can_insert(stage, op)) insert(stage, op);
    }
  }
}

}  // namespace tidemark
