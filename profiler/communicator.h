// How the ranks of one run meet: the seam between a rank and the others, be they threads or
// processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// True for all_reduce, reduce_scatter, all_gather and all_to_all.
[[nodiscard]] bool is_collective(OpKind kind);

/// One rank's share in one collective. R ranks of a group, n elements of a part.
struct CollectiveCall {
  OpKind kind = OpKind::all_reduce;
  std::span<const std::int32_t> ranks;  // of the group, ascending
  std::int32_t rank = 0;                // the caller
  DType dtype = DType::f32;             // of sums f32 or f64
  std::byte* x = nullptr;  // all_reduce: any number, in place; all_gather: n; others: R n
  std::byte* y = nullptr;  // reduce_scatter: n; all_gather, all_to_all: R n; all_reduce: not used
  std::int64_t elements = 0;  // of x
  // all_to_all: x is split along one of its dimensions into a part for each rank, in their order;
  // y are the parts that came, joined along another one in the order of the ranks.
  std::span<const std::int64_t> shape = {};  // of x
  std::size_t split = 0, join = 0;
  void* stream = nullptr;  // of a device, where x and y are: the call takes its turn there
};

/// Bytes that stay together on their way from one rank's x to another's y.
struct Piece {
  std::int64_t from_bytes = 0;  // in the sender's x
  std::int64_t to_bytes = 0;    // in the receiver's y
  std::int64_t size_bytes = 0;
};

/// What the rank at place `sender` of the group brings to that at `receiver` in an all_to_all,
/// ascending in the sender's x. The two count as many, of the same sizes.
[[nodiscard]] std::vector<Piece> pieces_of(const CollectiveCall& call, std::size_t sender,
                                           std::size_t receiver);

/// What waits for a rank that will not come any more gets this.
class TeamStopped : public std::runtime_error {
 public:
  TeamStopped() : std::runtime_error("another rank ended the run") {}
};

/// One rank's line to the others. Every rank of a group makes the same calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;

  /// Returns when the result is there and x may be written again; on a device, when the call stands
  /// in its stream. Sums are made in ascending order of the ranks: ((x0 + x1) + x2) + ..., element
  /// by element, so they are the same on every rank and in every run; on a device in an order that
  /// its library chooses. Throws TeamStopped.
  virtual void run(const CollectiveCall& call) = 0;

  /// The values that every rank of the run brought, in the order of the ranks. All bring as many.
  /// Throws TeamStopped.
  virtual std::vector<double> share(std::span<const double> values) = 0;

  /// CPU time that the calling thread has spent on waiting for others so far: on going to sleep and
  /// waking up, not on their data.
  [[nodiscard]] virtual std::int64_t waiting_cpu_ns() const { return 0; }

  /// For who waits for a device on which others may be waited for: throws TeamStopped when another
  /// rank ended the run, InputError when the way to the others is broken.
  virtual void require_going() {}

  /// Ends the waiting of all ranks, now and later.
  virtual void stop() = 0;
};

/// Ranks that are threads of this process: they read each other's memory, which must stay where it
/// is until all of them are done. One communicator per rank.
[[nodiscard]] std::vector<std::unique_ptr<Communicator>> make_thread_team(std::int32_t ranks);

}  // namespace tidemark
