// Writes the program of one rank: rows of a source that are taken over, and what is added to them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/lifetimes.h"
#include "sim/program_builder.h"
#include "traces/trace.h"

namespace tidemark {

/// Elements of each of `parts` equal parts that hold so many.
[[nodiscard]] constexpr std::int64_t part_of(std::int64_t elements, std::int32_t parts) {
  return (elements + parts - 1) / parts;
}

/// A buffer that is split into equal parts, one per rank.
struct Whole {
  BufferId owner;    // with the padding
  BufferId value;    // of the true shape: a view, or the owner when there is no padding
  BufferId padding;  // a view of what is behind the value; none when there is no padding
};

/// One direction of a mesh of ranks. Rank numbers along it are `stride` apart; a transform spreads
/// the program of the rank at index 0 over all of them.
struct RankAxis {
  std::string name = "data_parallel";  // of the group of ranks along it
  std::int32_t index = 0;              // of this rank
  std::int32_t count = 1;
  std::int32_t stride = 1;
  /// The source is a program of this rank already, made by an earlier transform along the axis:
  /// then its rank and the number of ranks stay, and only the group is added.
  bool placed = false;
  bool operator==(const RankAxis&) const = default;
};

/// Rows are those of the new trace unless they are called those of the source. Versions, lifetimes
/// and sequence numbers follow from the order of the ops at finish(). The source may be that of a
/// rank already: its groups keep their rows, with the rank numbers of this place on the axis, and
/// its collectives are ops like any other.
class RankProgram {
 public:
  RankProgram(const Trace& source, RankAxis axis);
  /// One rank that does the work of `ranks`; there is no group.
  static RankProgram alone(const Trace& source, std::int32_t ranks);

  /// Along the axis.
  [[nodiscard]] std::int32_t rank() const { return axis_.index; }
  [[nodiscard]] std::int32_t ranks() const { return axis_.count; }
  [[nodiscard]] const RankAxis& axis() const { return axis_; }

  /// The row that a row of the source has here; added when it is first asked for, as is what a view
  /// is a view of.
  BufferId kept(BufferId of_source);
  /// A row of its own like one of the source, under the name of that plus `suffix`.
  BufferId like(BufferId of_source, const std::string& suffix);
  /// A view of the source, as a view of this owner.
  BufferId view(BufferId of_source, BufferId owner);
  /// The same as like() with room for equal parts, one for each rank along `axis`. Its value has
  /// the name, the padded owner ".padded".
  Whole whole(BufferId of_source, const std::string& suffix, const RankAxis& axis);
  /// Part axis.index of a whole, as a view of it; of its own bytes when there is no whole.
  BufferId part(BufferId of_source, const Whole& whole, const std::string& suffix,
                const RankAxis& axis);

  /// The part of this rank along a dimension whose extent divides by the ranks, under the same
  /// name.
  BufferId split(BufferId of_source, int dimension);
  /// Like a row of the source, of another shape.
  BufferId resized(BufferId of_source, std::vector<std::int64_t> shape);
  /// Like a row of the source, of another shape, for what is sent or has come from others.
  BufferId exchanged(BufferId of_source, std::vector<std::int64_t> shape,
                     const std::string& suffix);
  /// Room for those factors of a product that it rounds itself, like a row of the source; `before`
  /// are the rows of the operands before it.
  BufferId factors(const Op& op, BufferId of_source, const std::vector<BufferId>& before);
  /// Rows first .. first + count - 1 of a matrix, or elements of a vector, as a view of it.
  BufferId rows(BufferId matrix, std::int64_t first, std::int64_t count, const std::string& suffix);

  void persist(BufferId owner) { schedule_.persistent.push_back(owner); }

  /// An op of the source on these buffers, one per operand. `work_share`: of its time.
  void run(OpId of_source, const std::vector<BufferId>& buffers, Pass::Section section,
           double work_share = 1);
  /// The op that was added last.
  Op& last() { return out_.ops.back(); }
  /// An op that the source does not have, in the phase, layer and micro-batch of `place`.
  void add(OpKind kind, const std::string& name, const std::vector<Use>& uses, OpId place,
           Pass::Section section, std::vector<Attribute> attributes = {});
  /// A collective over all ranks along the axis, or along another that goes through this rank.
  void meet(OpKind kind, const std::string& name, const std::vector<Use>& uses, OpId place,
            Pass::Section section) {
    meet_along(axis_, kind, name, uses, place, section);
  }
  void meet_along(const RankAxis& axis, OpKind kind, const std::string& name,
                  const std::vector<Use>& uses, OpId place, Pass::Section section);
  /// The same over some of them: indices along the axis, ascending, this rank's among them.
  void meet_some(const std::string& group, const std::vector<std::int32_t>& indices, OpKind kind,
                 const std::string& name, const std::vector<Use>& uses, OpId place,
                 Pass::Section section);
  /// Sets the padding of a whole to 0; nothing when there is none.
  void clear_padding(const Whole& whole, OpId place, Pass::Section section);

  [[nodiscard]] const Buffer& operator[](BufferId id) const { return out_[id]; }

  /// The trace, with meta.kind planned. The program is empty afterwards.
  [[nodiscard]] Trace finish(const std::string& stage);

 private:
  BufferId add_row(Buffer buffer, BufferId origin);
  std::vector<OpId>& ops_of(Pass::Section section);
  /// The row of the group of these indices along the axis; added when it is first asked for.
  std::int64_t group_of(const RankAxis& axis, const std::string& name,
                        const std::vector<std::int32_t>& indices);
  std::int64_t group_of(const RankAxis& axis);
  /// This rank's part of a buffer along the axis, from its shape on.
  Shard shard_along(const RankAxis& axis);

  const Trace& source_;
  RankAxis axis_;
  bool alone_ = false;
  Trace out_;
  OpOrder schedule_;
  std::vector<BufferId> kept_;  // by row of the source
};

}  // namespace tidemark
