// Random changes of a schedule, small but complete: what an execution needs is made again with it,
// and what only fed an execution that is taken out goes too.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/schedule_state.h"

namespace tidemark {

class Mover {
 public:
  /// The task must outlive the mover.
  Mover(const ScheduleTask& task, std::int64_t limit_bytes, std::int64_t seed);

  /// One entry of the journal: an execution that was inserted or erased.
  struct Change {
    Moment when = 0;
    bool inserted = false;
    bool operator==(const Change&) const = default;
    auto operator<=>(const Change&) const = default;
  };

  [[nodiscard]] ScheduleState& state() { return state_; }
  [[nodiscard]] const ScheduleState& state() const { return state_; }
  [[nodiscard]] Random& random() { return random_; }
  /// Ops that may run again.
  [[nodiscard]] const std::vector<Position>& movable() const { return movable_; }

  /// Tries one move of a random kind; the journal stays empty when none was found.
  void propose();
  [[nodiscard]] const std::vector<Change>& journal() const { return journal_; }
  void keep() { journal_.clear(); }
  void undo();

  /// Carries out changes of another journal.
  void apply(const std::vector<Change>& changes);
  /// Becomes this set of added executions.
  void adopt(const std::vector<Moment>& added);

 private:
  void insert(Position stage, Position op);
  void erase(Position stage, Position op);
  void drop_some();
  void erase_some();
  void shift_some();
  void rebuild_some();
  void erase_chain(Position stage, Position op);
  void prune_inputs(Position stage, Position op);
  void make_again(Position stage, Position op);
  void prune_same(Position stage, Position op);
  [[nodiscard]] Moment some_added();
  [[nodiscard]] Moment some_moment();
  [[nodiscard]] Position some_live_at(Moment when);
  [[nodiscard]] Position made_before(Position op, Moment when) const;
  [[nodiscard]] Position next_use(Position op, Moment when) const;

  const ScheduleTask& task_;
  ScheduleState state_;
  Random random_;
  std::vector<Position> movable_;
  std::vector<Change> journal_;
  int depth_ = 0;
};

}  // namespace tidemark
