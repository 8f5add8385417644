#include "profiler/cuda/nccl_communicator.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using RanksOfGroup = std::vector<std::int32_t>;

/// In an order that is the same for all ranks: who joins the least of the groups that are not
/// complete yet finds the others of it there, or on their way through lesser ones.
std::set<RanksOfGroup> groups_to_join(const Trace& program) {
  std::set<RanksOfGroup> out;
  for (const Op& op : program.ops) {
    if (!is_collective(op.kind)) continue;
    out.insert(program.groups[static_cast<std::size_t>(integer_at(op, "group", 0))].ranks);
  }
  return out;
}

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(Communicator& host, const cuda::NcclApi& api, const Trace& program)
      : host_(host), api_(api), rank_(program.meta.rank) {
    try {
      for (const RanksOfGroup& group : groups_to_join(program)) join(group);
    } catch (...) {
      abort();
      throw;
    }
  }

  ~NcclCommunicator() override { leave(); }
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  void run(const CollectiveCall& call) override {
    if (is_aborted_) throw TeamStopped();
    void* const group = groups_.at({call.ranks.begin(), call.ranks.end()});
    settle(group, enqueue(call, group));
  }

  std::vector<double> share(std::span<const double> values) override { return host_.share(values); }

  [[nodiscard]] std::int64_t waiting_cpu_ns() const override { return host_.waiting_cpu_ns(); }

  /// Once the groups are left nothing is waited for any more.
  void require_going() override {
    if (is_aborted_) return;
    try {
      host_.require_going();
      for (const auto& [ranks, group] : groups_) {
        const int code = state_of(group);
        if (code != api_.in_progress) check(code, group);
      }
    } catch (...) {
      abort();
      throw;
    }
  }

  void stop() override {
    host_.stop();
    abort();
  }

 private:
  /// The first rank of the group makes the name under which they meet.
  void join(const RanksOfGroup& group) {
    std::array<std::byte, cuda::k_nccl_id_bytes> mine{};
    std::vector<std::byte> all(group.size() * mine.size());
    if (group.front() == rank_) check(api_.make_id(mine.data()), nullptr);
    host_.run({.kind = OpKind::all_gather,
               .ranks = group,
               .rank = rank_,
               .x = mine.data(),
               .y = all.data(),
               .elements = static_cast<std::int64_t>(mine.size() / sizeof(float))});
    const auto place = std::ranges::lower_bound(group, rank_) - group.begin();
    void* joined = nullptr;
    const int code =
        api_.join(all.data(), static_cast<int>(place), static_cast<int>(group.size()), &joined);
    if (joined != nullptr) groups_[group] = joined;
    settle(joined, code);
  }

  int enqueue(const CollectiveCall& call, void* group) const {
    const cuda::Number number = call.dtype == DType::f64 ? cuda::Number::f64 : cuda::Number::f32;
    const auto elements = static_cast<std::size_t>(call.elements);
    switch (call.kind) {
      case OpKind::all_reduce:
        return api_.all_reduce(call.x, elements, number, group, call.stream);
      case OpKind::reduce_scatter:
        return api_.reduce_scatter(call.x, call.y, elements / call.ranks.size(), number, group,
                                   call.stream);
      case OpKind::all_gather:
        return api_.all_gather(call.x, call.y, elements, number, group, call.stream);
      default:
        return exchange(call, group);
    }
  }

  /// all_to_all: every piece is a message. What one rank sends to another and what that receives
  /// from it come in the same order.
  int exchange(const CollectiveCall& call, void* group) const {
    const auto place =
        static_cast<std::size_t>(std::ranges::lower_bound(call.ranks, rank_) - call.ranks.begin());
    int code = api_.group_begin();
    const auto then = [&code, this](int next) {
      if (code == 0 || code == api_.in_progress) code = next;
    };
    for (std::size_t other = 0; other < call.ranks.size(); ++other) {
      const int peer = static_cast<int>(other);
      for (const Piece& piece : pieces_of(call, place, other)) {
        then(api_.send(call.x + piece.from_bytes, static_cast<std::size_t>(piece.size_bytes), peer,
                       group, call.stream));
      }
      for (const Piece& piece : pieces_of(call, other, place)) {
        then(api_.receive(call.y + piece.to_bytes, static_cast<std::size_t>(piece.size_bytes), peer,
                          group, call.stream));
      }
    }
    const int end = api_.group_end();
    then(end);
    return code;
  }

  /// Waits until the call of NCCL that gave `code` is done: not what it put into a stream.
  void settle(void* group, int code) {
    while (code == api_.in_progress && group != nullptr) {
      host_.require_going();
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      code = state_of(group);
    }
    check(code, group);
  }

  [[nodiscard]] int state_of(void* group) const {
    int code = 0;
    const int asked = api_.state(group, &code);
    return asked == 0 ? code : asked;
  }

  void check(int code, void* group) const {
    if (code == 0) return;
    std::string text = std::string("NCCL: ") + api_.error_text(code);
    const char* const more = group == nullptr ? nullptr : api_.last_error(group);
    if (more != nullptr && *more != '\0') text += std::string(": ") + more;
    while (text.ends_with('\n')) text.pop_back();
    throw InputError(text);
  }

  void abort() noexcept {
    is_aborted_ = true;
    for (const auto& [ranks, group] : groups_) api_.abort(group);
    groups_.clear();
  }

  void leave() noexcept {
    try {
      for (const auto& [ranks, group] : groups_) settle(group, api_.finish(group));
    } catch (const std::exception&) {
      return abort();  // others are gone; what there was to say has been said
    }
    for (const auto& [ranks, group] : groups_) api_.leave(group);
  }

  Communicator& host_;
  const cuda::NcclApi& api_;
  std::int32_t rank_;
  bool is_aborted_ = false;
  std::map<RanksOfGroup, void*> groups_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, const cuda::NcclApi& api,
                                                     const Trace& program) {
  return std::make_unique<NcclCommunicator>(host, api, program);
}

}  // namespace tidemark
