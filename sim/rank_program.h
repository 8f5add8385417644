// Writes the program of one rank: rows of a source that are taken over, and what is added to them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/lifetimes.h"
#include "sim/program_builder.h"
#include "traces/trace.h"

namespace tidemark {

/// A buffer that is split into equal parts, one per rank.
struct Whole {
  BufferId owner;    // with the padding
  BufferId value;    // of the true shape: a view, or the owner when there is no padding
  BufferId padding;  // a view of what is behind the value; none when there is no padding
};

/// Rows are those of the new trace unless they are called those of the source. Versions, lifetimes
/// and sequence numbers follow from the order of the ops at finish().
class RankProgram {
 public:
  /// `rank` of `ranks`; or, `alone`, one that does the work of all of them.
  RankProgram(const Trace& source, std::int32_t rank, std::int32_t ranks, bool alone = false);

  [[nodiscard]] std::int32_t rank() const { return rank_; }
  [[nodiscard]] std::int32_t ranks() const { return ranks_; }
  /// Elements of one part of `elements`.
  [[nodiscard]] std::int64_t part_of(std::int64_t elements) const {
    return (elements + ranks_ - 1) / ranks_;
  }

  /// The row that a row of the source has here; added when it is first asked for.
  BufferId kept(BufferId of_source);
  /// A row of its own like one of the source, under the name of that plus `suffix`.
  BufferId like(BufferId of_source, const std::string& suffix);
  /// The same with room for equal parts. Its value has the name, the padded owner ".padded".
  Whole whole(BufferId of_source, const std::string& suffix);
  /// Part `index` of a whole, as a view of it.
  BufferId part(BufferId of_source, const Whole& whole, std::int32_t index,
                const std::string& suffix);
  /// The part of this rank, with bytes of its own.
  BufferId own_part(BufferId of_source, const std::string& suffix);

  /// The part of this rank along a dimension whose extent divides by the ranks, under the same
  /// name.
  BufferId split(BufferId of_source, int dimension);
  /// Like a row of the source, of another shape.
  BufferId resized(BufferId of_source, std::vector<std::int64_t> shape);
  /// Like a row of the source, of another shape, for what is sent or has come from others.
  BufferId exchanged(BufferId of_source, std::vector<std::int64_t> shape,
                     const std::string& suffix);
  /// Rows first .. first + count - 1 of a matrix, or elements of a vector, as a view of it.
  BufferId rows(BufferId matrix, std::int64_t first, std::int64_t count, const std::string& suffix);

  /// What the group of all ranks is called; "data_parallel" unless said otherwise.
  void name_group(std::string name) { out_.groups[0].name = std::move(name); }

  void persist(BufferId owner) { schedule_.persistent.push_back(owner); }

  /// An op of the source on these buffers, one per operand. `work_share`: of its time.
  void run(OpId of_source, const std::vector<BufferId>& buffers, Pass::Section section,
           double work_share = 1);
  /// The op that was added last.
  Op& last() { return out_.ops.back(); }
  /// An op that the source does not have, in the phase, layer and micro-batch of `place`.
  void add(OpKind kind, const std::string& name, const std::vector<Use>& uses, OpId place,
           Pass::Section section, std::vector<Attribute> attributes = {});
  /// A collective over all ranks.
  void meet(OpKind kind, const std::string& name, const std::vector<Use>& uses, OpId place,
            Pass::Section section);
  /// The same over some of the ranks, ascending, this one among them.
  void meet_some(const std::string& group, const std::vector<std::int32_t>& ranks, OpKind kind,
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

  const Trace& source_;
  std::int32_t rank_;
  std::int32_t ranks_;
  GroupId group_;  // of all ranks; none when alone
  Trace out_;
  OpOrder schedule_;
  std::vector<BufferId> kept_;  // by row of the source
};

}  // namespace tidemark
