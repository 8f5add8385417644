// Where a point of one run is in another run of the same program: the runs take different times for
// the same ops, and a plan adds ops, so equal clocks are not equal points. No widget.
#pragma once

#include <cstdint>
#include <vector>

#include "gui/run.h"

namespace tidemark {

/// The same point on the axis of one run (`here`) and on that of another (`there`).
struct Knot {
  std::int64_t here = 0;
  std::int64_t there = 0;
  bool operator==(const Knot&) const = default;
};

/// Linear between knots, of slope 1 before the first and after the last; never decreases. Where
/// several knots share a position, the last of them counts.
class TimeMap {
 public:
  /// The identity.
  TimeMap() = default;
  /// In order; a knot that lies before an earlier one on either side is left out.
  explicit TimeMap(const std::vector<Knot>& knots);

  [[nodiscard]] std::int64_t there(std::int64_t here) const;
  [[nodiscard]] std::int64_t here(std::int64_t there) const;
  /// Nothing is stretched: the clocks differ by a constant.
  [[nodiscard]] bool is_shift() const;

 private:
  std::vector<Knot> knots_;
};

/// What the steady steps of two runs are aligned by.
enum class EventFit : std::uint8_t {
  begins,  // only their begins: one was cut off, or there are no steps
  steps,   // begin and end: the programs have no op in common
  ops,     // begin and end, and begin and end of each common op
};

struct Alignment {
  EventFit fit = EventFit::begins;
  TimeMap time;
  TimeMap change;
  [[nodiscard]] const TimeMap& on(Axis axis) const { return axis == Axis::time ? time : change; }
  /// The axis of the other run was stretched.
  [[nodiscard]] bool is_fitted(Axis axis) const { return !on(axis).is_shift(); }
};

/// Aligns the steady step of `there` with that of `here`. Common are ops of the compute stream that
/// have the same name (each transform keeps the names of the originals and numbers the copies) and
/// run once per step. An op begins with its first allocation and ends with its last free. Where the
/// order of ops differs, most of them stay in order and the others do not count.
[[nodiscard]] Alignment align(const Run& here, const Run& there);

}  // namespace tidemark
