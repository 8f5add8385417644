#include "fake_nccl.h"

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "fake_plugin.h"
#include "profiler/kernels/ordered_sum.h"

namespace tidemark::test {
namespace {

constexpr int k_invalid = 4;
constexpr int k_remote_error = 6;
constexpr int k_in_progress = 7;

FakeNccl* g_fake = nullptr;
std::mutex g_mutex;

struct Message {
  int peer = 0;
  const std::byte* from = nullptr;  // null: it is received
  std::byte* to = nullptr;
  std::size_t bytes = 0;
};

/// One rank's call of a collective.
struct Call {
  std::string kind;
  const std::byte* x = nullptr;
  std::byte* y = nullptr;
  std::size_t elements = 0;
  cuda::Number number = cuda::Number::f32;
  std::vector<Message> messages{};
};

/// What all ranks of a group do together.
struct Round {
  std::map<int, Call> calls;  // by rank
  bool done = false;
};

struct Group {
  int ranks = 0;
  int joined = 0;
  bool differs = false;  // ranks made different calls
  std::vector<std::shared_ptr<Round>> rounds;
};

struct Member {
  std::shared_ptr<Group> group;
  int rank = 0;
  std::size_t issued = 0;
  bool broken = false;
  std::shared_ptr<bool> aborted = std::make_shared<bool>(false);
};

std::map<std::string, std::shared_ptr<Group>> g_groups;  // by id
std::map<int, std::vector<std::string>> g_calls;         // by rank in the first group
thread_local int t_rank = -1;
thread_local std::vector<Message> t_messages;
thread_local Member* t_member = nullptr;  // of the messages
thread_local void* t_stream = nullptr;

Member& member_of(void* communicator) {
  return *static_cast<Member*>(communicator);
}

void note(const std::string& call) {
  const std::lock_guard lock(g_mutex);
  g_calls[t_rank].push_back(call);
}

std::size_t size_of(const Call& call) {
  return call.elements * (call.number == cuda::Number::f64   ? 8
                          : call.number == cuda::Number::f32 ? 4
                                                             : 1);
}

void sum(const std::map<int, Call>& calls, std::size_t first_byte, const Call& like,
         std::byte* to) {
  std::vector<const std::byte*> terms;
  for (const auto& [rank, call] : calls) terms.push_back(call.x + first_byte);
  kernels::ordered_sum(terms, to, static_cast<std::int64_t>(like.elements),
                       like.number == cuda::Number::f64 ? DType::f64 : DType::f32);
}

void exchange(const std::map<int, Call>& calls) {
  for (const auto& [receiver, call] : calls) {
    std::map<int, std::size_t> next;  // by sender: which of its messages to this rank
    for (const Message& wanted : call.messages) {
      if (wanted.to == nullptr) continue;
      std::size_t skip = next[wanted.peer]++;
      for (const Message& sent : calls.at(wanted.peer).messages) {
        if (sent.from == nullptr || sent.peer != receiver || skip-- > 0) continue;
        std::memcpy(wanted.to, sent.from, std::min(sent.bytes, wanted.bytes));
        break;
      }
    }
  }
}

/// By the rank that comes last; those of the others stand in their streams meanwhile.
void compute(const Round& round) {
  const Call& first = round.calls.begin()->second;
  const std::size_t bytes = size_of(first);
  if (first.kind == "exchange") return exchange(round.calls);
  if (first.kind == "all_reduce") {
    std::vector<std::byte> total(bytes);
    sum(round.calls, 0, first, total.data());
    for (const auto& [rank, call] : round.calls) std::memcpy(call.y, total.data(), bytes);
    return;
  }
  for (const auto& [rank, call] : round.calls) {
    if (first.kind == "reduce_scatter") {
      sum(round.calls, static_cast<std::size_t>(rank) * bytes, first, call.y);
      continue;
    }
    for (const auto& [other, theirs] : round.calls) {
      std::byte* const to = call.y + static_cast<std::size_t>(other) * bytes;
      if (to != theirs.x) std::memcpy(to, theirs.x, bytes);
    }
  }
}

bool is_same(const Call& a, const Call& b) {
  return a.kind == b.kind && a.elements == b.elements && a.number == b.number;
}

/// True when it is done; until then the stream stands still.
bool meet(Group& group, Round& round, int rank, const Call& call, const bool& aborted) {
  const std::lock_guard lock(g_mutex);
  if (aborted || round.done) return true;
  round.calls.emplace(rank, call);
  for (const auto& [other, theirs] : round.calls) group.differs |= !is_same(theirs, call);
  if (group.differs || round.calls.size() < static_cast<std::size_t>(group.ranks)) return false;
  compute(round);
  return round.done = true;
}

int enqueue(Member& member, const Call& call, void* stream) {
  const bool messages = !call.messages.empty();
  note(call.kind + " " + std::to_string(messages ? call.messages.size() : call.elements) +
       (messages                           ? " messages"
        : call.number == cuda::Number::f64 ? " f64"
                                           : " f32"));
  std::shared_ptr<Round> round;
  {
    const std::lock_guard lock(g_mutex);
    member.broken |= static_cast<int>(member.issued) == g_fake->breaks_at;
    auto& rounds = member.group->rounds;
    if (rounds.size() == member.issued) rounds.push_back(std::make_shared<Round>());
    round = rounds[member.issued++];
  }
  const int code = put_into_stream(stream, [group = member.group, round, rank = member.rank, call,
                                            broken = member.broken, aborted = member.aborted] {
    if (broken) return *aborted;
    return meet(*group, *round, rank, call, *aborted);
  });
  return code == 0 && !member.broken ? k_in_progress : code;  // broken: only `state` will say so
}

int join(const void* id, int rank, int ranks, void** communicator) {
  if (t_rank < 0) t_rank = rank;
  note("join " + std::to_string(rank) + "/" + std::to_string(ranks));
  const std::lock_guard lock(g_mutex);
  auto& group = g_groups[std::string(static_cast<const char*>(id), cuda::k_nccl_id_bytes)];
  if (group == nullptr) group = std::make_shared<Group>(Group{.ranks = ranks, .rounds = {}});
  ++group->joined;
  *communicator = new Member{.group = group, .rank = rank};
  ++g_fake->live;
  return k_in_progress;
}

int state(void* communicator, int* code) {
  const Member& member = member_of(communicator);
  const std::lock_guard lock(g_mutex);
  *code = member.broken                                ? k_remote_error
          : member.group->differs                      ? k_invalid
          : member.group->joined < member.group->ranks ? k_in_progress
                                                       : 0;
  return 0;
}

int make_id(void* id) {
  if (g_fake->refuses_names) return k_invalid;
  static std::atomic<int> count = 0;
  const int mine = ++count;
  std::memset(id, 0, cuda::k_nccl_id_bytes);
  std::memcpy(id, &mine, sizeof mine);
  return 0;
}

int leave(void* communicator) {
  delete &member_of(communicator);
  --g_fake->live;
  return 0;
}

int abort(void* communicator) {
  {
    const std::lock_guard lock(g_mutex);
    *member_of(communicator).aborted = true;
  }
  ++g_fake->aborted;
  return leave(communicator);
}

int message(const Message& one, void* communicator, void* stream) {
  t_messages.push_back(one);
  t_member = &member_of(communicator);
  t_stream = stream;
  return k_in_progress;
}

int group_end() {
  Call call{.kind = "exchange", .messages = std::exchange(t_messages, {})};
  return enqueue(*t_member, call, t_stream);
}

const char* error_text(int code) {
  return code == k_remote_error ? "remote process exited" : "invalid";
}

std::byte* bytes_of(void* pointer) {
  return static_cast<std::byte*>(pointer);
}
const std::byte* bytes_of(const void* pointer) {
  return static_cast<const std::byte*>(pointer);
}

}  // namespace

FakeNccl::FakeNccl() {
  g_fake = this;
  g_groups.clear();
  g_calls.clear();
  api.version = cuda::k_nccl_plugin_version;
  api.in_progress = k_in_progress;
  api.error_text = error_text;
  api.last_error = [](void*) { return "no cable\n"; };
  api.make_id = make_id;
  api.join = join;
  api.state = state;
  api.all_reduce = [](void* x, std::size_t elements, cuda::Number number, void* communicator,
                      void* stream) {
    return enqueue(member_of(communicator),
                   {"all_reduce", bytes_of(x), bytes_of(x), elements, number}, stream);
  };
  api.reduce_scatter = [](const void* x, void* y, std::size_t elements, cuda::Number number,
                          void* communicator, void* stream) {
    return enqueue(member_of(communicator),
                   {"reduce_scatter", bytes_of(x), bytes_of(y), elements, number}, stream);
  };
  api.all_gather = [](const void* x, void* y, std::size_t elements, cuda::Number number,
                      void* communicator, void* stream) {
    return enqueue(member_of(communicator),
                   {"all_gather", bytes_of(x), bytes_of(y), elements, number}, stream);
  };
  api.send = [](const void* x, std::size_t bytes, int peer, void* communicator, void* stream) {
    return message({peer, bytes_of(x), nullptr, bytes}, communicator, stream);
  };
  api.receive = [](void* y, std::size_t bytes, int peer, void* communicator, void* stream) {
    return message({peer, nullptr, bytes_of(y), bytes}, communicator, stream);
  };
  api.group_begin = [] { return 0; };
  api.group_end = group_end;
  api.finish = [](void*) { return k_in_progress; };
  api.leave = leave;
  api.abort = abort;
}

FakeNccl::~FakeNccl() {
  g_fake = nullptr;
}

std::vector<std::string> FakeNccl::calls_of(int rank) const {
  const std::lock_guard lock(g_mutex);
  return g_calls[rank];
}

}  // namespace tidemark::test
