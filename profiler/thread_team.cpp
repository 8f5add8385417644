// Ranks as threads. They meet at a barrier, read what the others brought, and meet again before
// anybody goes on.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "profiler/clock.h"
#include "profiler/communicator.h"
#include "profiler/kernels/ordered_sum.h"

namespace tidemark {
namespace {

/// Adds up the CPU time of this thread while one of these lives.
class Waiting {
 public:
  Waiting() : begin_ns_(thread_cpu_ns()) {}
  ~Waiting() { spent() += thread_cpu_ns() - begin_ns_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  static std::int64_t spent_ns() { return spent(); }

 private:
  static std::int64_t& spent() {
    static thread_local std::int64_t ns = 0;
    return ns;
  }

  std::int64_t begin_ns_;
};

/// Where the ranks of one group meet.
struct Meeting {
  std::vector<const CollectiveCall*> calls;  // by place in the group
  std::size_t arrived = 0;
  std::int64_t round = 0;
};

/// What the ranks of one run share.
class Team {
 public:
  explicit Team(std::int32_t ranks) : values_(static_cast<std::size_t>(ranks)) {}

  /// The calls of all ranks of the group, once all of them are there.
  const std::vector<const CollectiveCall*>& gather(const CollectiveCall& call, std::size_t place) {
    const Waiting waiting;
    std::unique_lock lock(mutex_);
    Meeting& meeting = meeting_of(call.ranks);
    meeting.calls[place] = &call;
    come_together(meeting, lock);
    return meeting.calls;
  }

  /// Returns when all ranks of the group, which have come together, are here.
  void meet(std::span<const std::int32_t> ranks) {
    const Waiting waiting;
    std::unique_lock lock(mutex_);
    wait_for_all(meeting_of(ranks), lock);
  }

  std::vector<double> share(std::size_t rank, std::span<const double> values) {
    std::unique_lock lock(mutex_);
    values_[rank].assign(values.begin(), values.end());
    come_together(sharing_, lock);
    std::vector<double> all;
    for (const std::vector<double>& one : values_) all.insert(all.end(), one.begin(), one.end());
    wait_for_all(sharing_, lock);
    return all;
  }

  void require_going() {
    const std::lock_guard lock(mutex_);
    if (stopped_) throw TeamStopped();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
  }

 private:
  Meeting& meeting_of(std::span<const std::int32_t> ranks) {
    Meeting& meeting = meetings_[std::vector<std::int32_t>(ranks.begin(), ranks.end())];
    meeting.calls.resize(ranks.size(), nullptr);
    return meeting;
  }

  /// Throws TeamStopped when somebody will not come.
  void come_together(Meeting& meeting, std::unique_lock<std::mutex>& lock) {
    if (stopped_) throw TeamStopped();
    if (const auto round = arrive(meeting)) {
      changed_.wait(lock, [&] { return stopped_ || meeting.round != *round; });
      if (meeting.round == *round) throw TeamStopped();
    }
  }

  /// Of those who have come together: all of them come here, too, whoever stops the team. Nobody
  /// leaves before, since others still read what each has brought.
  void wait_for_all(Meeting& meeting, std::unique_lock<std::mutex>& lock) {
    if (const auto round = arrive(meeting)) {
      changed_.wait(lock, [&] { return meeting.round != *round; });
    }
  }

  /// The round to wait for the end of; none for the last to arrive.
  std::optional<std::int64_t> arrive(Meeting& meeting) {
    const std::size_t expected = &meeting == &sharing_ ? values_.size() : meeting.calls.size();
    if (++meeting.arrived < expected) return meeting.round;
    meeting.arrived = 0;
    ++meeting.round;
    changed_.notify_all();
    return std::nullopt;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::vector<std::int32_t>, Meeting> meetings_;  // by group; nodes stay where they are
  Meeting sharing_;                                        // of all ranks, for share()
  std::vector<std::vector<double>> values_;                // by rank
  bool stopped_ = false;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Team> team, std::int32_t rank)
      : team_(std::move(team)), rank_(rank) {}

  void run(const CollectiveCall& call) override {
    const auto found = std::ranges::lower_bound(call.ranks, call.rank);
    const auto place = static_cast<std::size_t>(found - call.ranks.begin());
    const std::vector<const CollectiveCall*>& calls = team_->gather(call, place);
    if (call.kind == OpKind::all_gather) {
      gather(call, calls);
    } else if (call.kind == OpKind::all_to_all) {
      exchange(call, calls, place);
    } else {
      reduce(call, calls, place);
    }
    if (call.kind == OpKind::all_reduce) {
      team_->meet(call.ranks);  // every part is summed
      copy_parts(call, calls, place);
    }
    team_->meet(call.ranks);  // nobody reads from here any more
  }

  std::vector<double> share(std::span<const double> values) override {
    return team_->share(static_cast<std::size_t>(rank_), values);
  }

  [[nodiscard]] std::int64_t waiting_cpu_ns() const override { return Waiting::spent_ns(); }

  void require_going() override { team_->require_going(); }

  void stop() override { team_->stop(); }

 private:
  struct Part {
    std::int64_t first = 0;
    std::int64_t count = 0;
  };

  /// Each rank sums one part: R parts of as equal sizes as they can be.
  static Part part_of(const CollectiveCall& call, std::size_t place) {
    const auto ranks = static_cast<std::int64_t>(call.ranks.size());
    const auto i = static_cast<std::int64_t>(place);
    const std::int64_t first = call.elements * i / ranks;
    return {first, call.elements * (i + 1) / ranks - first};
  }

  static void gather(const CollectiveCall& call, const std::vector<const CollectiveCall*>& calls) {
    const std::int64_t bytes = call.elements * size_bytes(call.dtype);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      std::byte* to = call.y + static_cast<std::int64_t>(i) * bytes;
      if (to != calls[i]->x) std::memcpy(to, calls[i]->x, static_cast<std::size_t>(bytes));
    }
  }

  static void exchange(const CollectiveCall& call, const std::vector<const CollectiveCall*>& calls,
                       std::size_t place) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      for (const Piece& piece : pieces_of(call, i, place)) {
        std::memcpy(call.y + piece.to_bytes, calls[i]->x + piece.from_bytes,
                    static_cast<std::size_t>(piece.size_bytes));
      }
    }
  }

  /// The part of this rank, to y or in place. No other rank reads that part of this rank's x.
  static void reduce(const CollectiveCall& call, const std::vector<const CollectiveCall*>& calls,
                     std::size_t place) {
    const Part part = part_of(call, place);
    std::vector<const std::byte*> from;
    for (const CollectiveCall* one : calls) {
      from.push_back(one->x + part.first * size_bytes(call.dtype));
    }
    std::byte* const to =
        call.kind == OpKind::all_reduce ? call.x + part.first * size_bytes(call.dtype) : call.y;
    kernels::ordered_sum(from, to, part.count, call.dtype);
  }

  static void copy_parts(const CollectiveCall& call,
                         const std::vector<const CollectiveCall*>& calls, std::size_t place) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (i == place) continue;
      const Part part = part_of(call, i);
      const std::int64_t begin = part.first * size_bytes(call.dtype);
      std::memcpy(call.x + begin, calls[i]->x + begin,
                  static_cast<std::size_t>(part.count * size_bytes(call.dtype)));
    }
  }

  std::shared_ptr<Team> team_;
  std::int32_t rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_team(std::int32_t ranks) {
  const auto team = std::make_shared<Team>(ranks);
  std::vector<std::unique_ptr<Communicator>> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    out.push_back(std::make_unique<ThreadCommunicator>(team, rank));
  }
  return out;
}

}  // namespace tidemark
