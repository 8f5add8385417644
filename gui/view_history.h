// Where the view has been: a list of values and a place in it. Undo of moving is going back.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "gui/view_range.h"

namespace tidemark {

struct ViewPlace {
  Axis axis = Axis::time;
  bool one_step = false;
  ViewRange range;
  bool operator==(const ViewPlace&) const = default;
};

class ViewHistory {
 public:
  static constexpr std::size_t k_most_places = 200;

  void clear() {
    places_.clear();
    present_ = 0;
  }
  /// A new present: what lay after the old one is forgotten. The same place again changes nothing.
  void visit(const ViewPlace& place) {
    if (!places_.empty() && places_[present_] == place) return;
    if (!places_.empty()) places_.resize(present_ + 1);
    places_.push_back(place);
    if (places_.size() > k_most_places) places_.erase(places_.begin());
    present_ = places_.size() - 1;
  }
  /// The place before, or after, the present one, which becomes the present.
  [[nodiscard]] std::optional<ViewPlace> step(bool forward) {
    if (forward ? present_ + 1 >= places_.size() : present_ == 0) return std::nullopt;
    present_ = forward ? present_ + 1 : present_ - 1;
    return places_[present_];
  }

 private:
  std::vector<ViewPlace> places_;
  std::size_t present_ = 0;
};

}  // namespace tidemark
