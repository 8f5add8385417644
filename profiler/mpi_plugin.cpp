// libtidemark-mpi.so: ranks that are processes of Open MPI. All that links MPI is here, so that the
// programs start where there is none.
#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "profiler/kernels/ordered_sum.h"
#include "profiler/process_team.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Counts and offsets in bytes, one per rank of a group.
struct Layout {
  std::vector<int> counts;
  std::vector<int> offsets;
};

/// MPI counts are int; what is larger is refused, not cut off.
int to_int(std::int64_t bytes) {
  if (bytes > INT32_MAX) {
    throw InputError({"mpirun", "collective", "at most 2 GiB per call", std::to_string(bytes)});
  }
  return static_cast<int>(bytes);
}

/// `elements` split into parts of as equal sizes as they can be.
Layout parts_of(std::int64_t elements, std::size_t ranks, DType dtype) {
  Layout out;
  const auto count = static_cast<std::int64_t>(ranks);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = elements * i / count;
    const std::int64_t last = elements * (i + 1) / count;
    out.offsets.push_back(to_int(first * size_bytes(dtype)));
    out.counts.push_back(to_int((last - first) * size_bytes(dtype)));
  }
  return out;
}

class MpiCommunicator : public ProcessCommunicator {
 public:
  MpiCommunicator() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
    MPI_Comm here = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &here);
    MPI_Comm_rank(here, &local_rank_);
    MPI_Comm_free(&here);
    if (provided != MPI_THREAD_MULTIPLE) {
      throw InputError({"mpirun", "MPI", "an MPI that threads may call at the same time", "none"});
    }
  }

  [[nodiscard]] std::int32_t rank() const override { return rank_; }
  [[nodiscard]] std::int32_t ranks() const override { return ranks_; }
  [[nodiscard]] std::int32_t local_rank() const override { return local_rank_; }

  void run(const CollectiveCall& call) override {
    const MPI_Comm group = group_of(call.ranks);
    if (call.kind == OpKind::all_gather) return gather(call, group);
    if (call.kind == OpKind::all_to_all) return exchange(call, group);
    const auto place = static_cast<std::size_t>(std::ranges::lower_bound(call.ranks, call.rank) -
                                                call.ranks.begin());
    const Layout parts = parts_of(call.elements, call.ranks.size(), call.dtype);
    std::byte* const mine = call.x + parts.offsets[place];
    sum_part(call, parts, place, call.kind == OpKind::all_reduce ? mine : call.y, group);
    if (call.kind != OpKind::all_reduce) return;
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, call.x, parts.counts.data(),
                   parts.offsets.data(), MPI_BYTE, group);
  }

  std::vector<double> share(std::span<const double> values) override {
    std::vector<double> all(values.size() * static_cast<std::size_t>(ranks_));
    const int count = to_int(static_cast<std::int64_t>(values.size()));
    MPI_Allgather(values.data(), count, MPI_DOUBLE, all.data(), count, MPI_DOUBLE, MPI_COMM_WORLD);
    return all;
  }

  /// Who waits inside MPI cannot be woken up: leave() ends it.
  void stop() override {}

  void leave(int exit_code) override {
    if (exit_code != 0) MPI_Abort(MPI_COMM_WORLD, exit_code);
    MPI_Finalize();
  }

 private:
  /// Every rank gets its part of all others' x, and adds in the order of the ranks: MPI's own sums
  /// promise no order.
  void sum_part(const CollectiveCall& call, const Layout& parts, std::size_t place, std::byte* to,
                MPI_Comm group) {
    const std::size_t ranks = call.ranks.size();
    const int each = parts.counts[place];
    Layout received;
    for (std::size_t i = 0; i < ranks; ++i) {
      received.counts.push_back(each);
      received.offsets.push_back(to_int(std::int64_t{each} * static_cast<std::int64_t>(i)));
    }
    std::vector<std::byte> all(ranks * static_cast<std::size_t>(each));
    MPI_Alltoallv(call.x, parts.counts.data(), parts.offsets.data(), MPI_BYTE, all.data(),
                  received.counts.data(), received.offsets.data(), MPI_BYTE, group);
    std::vector<const std::byte*> terms;
    for (std::size_t i = 0; i < ranks; ++i) terms.push_back(all.data() + received.offsets[i]);
    kernels::ordered_sum(terms, to, each / size_bytes(call.dtype), call.dtype);
  }

  static void gather(const CollectiveCall& call, MPI_Comm group) {
    const int bytes = to_int(call.elements * size_bytes(call.dtype));
    const auto place = std::ranges::lower_bound(call.ranks, call.rank) - call.ranks.begin();
    std::byte* const mine = call.y + std::int64_t{bytes} * place;
    if (mine != call.x) std::memcpy(mine, call.x, static_cast<std::size_t>(bytes));
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, call.y, bytes, MPI_BYTE, group);
  }

  /// Pieces for one rank behind each other, so that each gets one message.
  static void exchange(const CollectiveCall& call, MPI_Comm group) {
    const std::size_t ranks = call.ranks.size();
    const auto place = static_cast<std::size_t>(std::ranges::lower_bound(call.ranks, call.rank) -
                                                call.ranks.begin());
    const auto bytes = static_cast<std::size_t>(call.elements * size_bytes(call.dtype));
    std::vector<std::byte> sent(bytes), received(bytes);
    std::size_t at = 0;
    for (std::size_t to = 0; to < ranks; ++to) {
      for (const Piece& piece : pieces_of(call, place, to)) {
        std::memcpy(sent.data() + at, call.x + piece.from_bytes,
                    static_cast<std::size_t>(piece.size_bytes));
        at += static_cast<std::size_t>(piece.size_bytes);
      }
    }
    const int each = to_int(static_cast<std::int64_t>(bytes / ranks));
    MPI_Alltoall(sent.data(), each, MPI_BYTE, received.data(), each, MPI_BYTE, group);
    at = 0;
    for (std::size_t from = 0; from < ranks; ++from) {
      for (const Piece& piece : pieces_of(call, from, place)) {
        std::memcpy(call.y + piece.to_bytes, received.data() + at,
                    static_cast<std::size_t>(piece.size_bytes));
        at += static_cast<std::size_t>(piece.size_bytes);
      }
    }
  }

  /// Made when its ranks first meet; they do so in the same order.
  MPI_Comm group_of(std::span<const std::int32_t> ranks) {
    const std::lock_guard lock(mutex_);
    const std::vector<std::int32_t> key(ranks.begin(), ranks.end());
    const auto known = groups_.find(key);
    if (known != groups_.end()) return known->second;
    MPI_Group world = MPI_GROUP_NULL, group = MPI_GROUP_NULL;
    MPI_Comm made = MPI_COMM_NULL;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, static_cast<int>(key.size()), key.data(), &group);
    MPI_Comm_create_group(MPI_COMM_WORLD, group, 0, &made);
    MPI_Group_free(&group);
    MPI_Group_free(&world);
    return groups_[key] = made;
  }

  int rank_ = 0;
  int ranks_ = 1;
  int local_rank_ = 0;
  std::mutex mutex_;
  std::map<std::vector<std::int32_t>, MPI_Comm> groups_;
};

}  // namespace
}  // namespace tidemark

extern "C" tidemark::ProcessCommunicator* tidemark_join_processes() {
  return new tidemark::MpiCommunicator();
}
