#include "sim/report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "sim/site.h"
#include "sim/strategy_text.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

/// What a search keeps of a strategy until it knows which matter.
struct Point {
  Layout layout;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  Batch batch;
  double level_a_bytes = 0;
  double step_s = 0;      // 0 for all when times are not known
  bool is_exact = false;  // step_s; else no more than a bound
  std::int64_t index = 0;
};

/// For a heap: the fastest first, of equals a bound, then what needs least, then the first.
bool is_later(const Point& a, const Point& b) {
  return std::tuple(a.step_s, a.is_exact, a.level_a_bytes, a.index) >
         std::tuple(b.step_s, b.is_exact, b.level_a_bytes, b.index);
}

ReportRow row_of(const Strategy& s, const WalkedPeak& peak, std::optional<double> step_s) {
  return {.layout = s.layout,
          .schedule = s.schedule,
          .batch = s.batch,
          .recipe = s.recipe.name,
          .recompute = recompute_text(s.recompute),
          .peak = peak,
          .step_s = step_s};
}

PartResult run_fixed(const ReportSpec& spec, const ReportPart& part, const FixedStrategy& fixed) {
  const NamedTransformer& model = spec.models[part.model];
  const ReportDevice& device = spec.devices[part.device];
  const Site& site = device.site;
  PartResult out;
  std::vector<std::string> lines;
  const Strategy s = strategy_for(spec, fixed, model, device.ranks, lines);
  if (!lines.empty()) {
    out.reason = fmt::format("{}", fmt::join(lines, "; "));
    return out;
  }
  out.visited = 1;
  out.rows.push_back(row_of(s, walk(model.model, s), StepTimes(model.model, site).seconds(s)));
  const double least = CapacityModel(model.model).peak(s).total();
  out.refused = verdict_of(demand_of(least, s), site) == Verdict::too_large ? 1 : 0;
  return out;
}

/// The search of one recipe and recomputation: level A refuses, times order, level B decides.
class PartSearch {
 public:
  PartSearch(const ReportSpec& spec, const ReportPart& part, const SearchSpace& space)
      : model_(spec.models[part.model].model),
        site_(spec.devices[part.device].site),
        space_(space_for(spec, space, spec.models[part.model], spec.devices[part.device].ranks)),
        level_a_(model_),
        times_(model_, site_) {
    space_.recipes = {space.recipes[part.recipe]};
    space_.recomputes = {space.recomputes[part.recompute]};
  }

  PartResult run() {
    out_.visited = for_each_strategy(model_, space_, [this](const Strategy& s) { screen(s); });
    if (out_.visited == 0) out_.reason = "no layout of these ranks goes with the model";
    keep_front();
    if (out_.rows.empty() && least_) {
      take(*least_);
      add(walk(model_, strategy_));
    }
    return out_;
  }

 private:
  void screen(const Strategy& s) {
    strategy_ = s;
    Point point{.layout = s.layout,
                .schedule = s.schedule,
                .batch = s.batch,
                .level_a_bytes = level_a_.peak(s).total(),
                .index = static_cast<std::int64_t>(points_.size())};
    if (!least_ || point.level_a_bytes < least_->level_a_bytes) least_ = point;
    if (verdict_of(demand_of(point.level_a_bytes, s), site_) == Verdict::too_large) {
      ++out_.refused;
      return;
    }
    point.step_s = times_.least_seconds(s).value_or(0);
    points_.push_back(point);
  }

  /// In the order of time. Level A never exceeds level B, so a point that by level A does not need
  /// less than what is faster by level B is no part of the front: neither its pipeline need be
  /// replayed nor its memory walked.
  void keep_front() {
    double smallest = INFINITY;
    std::make_heap(points_.begin(), points_.end(), is_later);
    while (!points_.empty()) {
      std::pop_heap(points_.begin(), points_.end(), is_later);
      Point& point = points_.back();
      take(point);
      if (demand_of(point.level_a_bytes, strategy_).expected_bytes() >= smallest) {
        points_.pop_back();
      } else if (!point.is_exact) {
        point.is_exact = true;
        point.step_s = times_.seconds(strategy_).value_or(0);
        std::push_heap(points_.begin(), points_.end(), is_later);
      } else {
        see(point.step_s, smallest);
        points_.pop_back();
      }
    }
  }

  /// The strategy is the fastest of those that are left.
  void see(double step_s, double& smallest) {
    const WalkedPeak peak = walk(model_, strategy_);
    const MemoryDemand demand = demand_of(peak.memory.total(), strategy_);
    const double bytes = demand.expected_bytes();
    if (verdict_of(demand, site_) == Verdict::too_large || bytes >= smallest) return;
    smallest = bytes;
    // Of equal times the smallest is what counts.
    if (!out_.rows.empty() && last_step_s_ == step_s) out_.rows.pop_back();
    last_step_s_ = step_s;
    add(peak);
  }

  void take(const Point& point) {
    strategy_.layout = point.layout;
    strategy_.schedule = point.schedule;
    strategy_.batch = point.batch;
  }

  void add(const WalkedPeak& peak) {
    out_.rows.push_back(row_of(strategy_, peak, times_.seconds(strategy_)));
  }

  const Transformer& model_;
  const Site& site_;
  SearchSpace space_;
  CapacityModel level_a_;
  StepTimes times_;
  Strategy strategy_;  // the last that was looked at
  std::vector<Point> points_;
  std::optional<Point> least_;
  double last_step_s_ = 0;
  PartResult out_;
};

Json json_of(const ReportRow& r) {
  const RankMemory& m = r.peak.memory;
  Json j{{"layout", layout_text(r.layout)},
         {"schedule", to_string(r.schedule)},
         {"recipe", r.recipe},
         {"recompute", r.recompute},
         {"sequence", r.batch.sequence},
         {"micro_batch", r.batch.micro_batch},
         {"micro_batches", r.batch.micro_batches},
         {"rank", m.rank},
         {"moment", to_string(r.peak.moment)},
         {"states_bytes", m.states},
         {"layers_bytes", m.layers},
         {"ends_bytes", m.ends},
         {"working_bytes", m.working}};
  if (r.step_s) j["step_s"] = *r.step_s;
  return j;
}

template <class Enum>
Enum enum_of(const Json& json) {
  const auto value = parse_enum<Enum>(json.get<std::string>());
  if (!value) throw InputError("expected a " + std::string(EnumNames<Enum>::k_type));
  return *value;
}

ReportRow row_from(const Json& j) {
  ReportRow r;
  std::vector<std::string> lines;
  r.layout = layout_from_text(j.at("layout").get<std::string>(), lines);
  if (!lines.empty()) throw InputError(lines[0]);
  r.schedule = enum_of<PipelineSchedule>(j.at("schedule"));
  r.recipe = j.at("recipe").get<std::string>();
  r.recompute = j.at("recompute").get<std::string>();
  r.batch = {.sequence = j.at("sequence").get<std::int64_t>(),
             .micro_batch = j.at("micro_batch").get<std::int64_t>(),
             .micro_batches = j.at("micro_batches").get<std::int64_t>()};
  r.peak.moment = enum_of<PeakMoment>(j.at("moment"));
  r.peak.memory = {.rank = j.at("rank").get<std::int64_t>(),
                   .states = j.at("states_bytes").get<double>(),
                   .layers = j.at("layers_bytes").get<double>(),
                   .ends = j.at("ends_bytes").get<double>(),
                   .working = j.at("working_bytes").get<double>()};
  if (j.contains("step_s")) r.step_s = j.at("step_s").get<double>();
  return r;
}

}  // namespace

std::vector<ReportPart> report_parts(const ReportSpec& spec) {
  std::vector<ReportPart> out;
  for (std::size_t m = 0; m < spec.models.size(); ++m) {
    for (std::size_t d = 0; d < spec.devices.size(); ++d) {
      for (std::size_t s = 0; s < spec.strategies.size(); ++s) {
        const auto* space = std::get_if<SearchSpace>(&spec.strategies[s].what);
        const std::size_t recipes = space == nullptr ? 1 : space->recipes.size();
        const std::size_t recomputes = space == nullptr ? 1 : space->recomputes.size();
        for (std::size_t i = 0; i < recipes * recomputes; ++i) {
          out.push_back({m, d, s, i / recomputes, i % recomputes});
        }
      }
    }
  }
  return out;
}

PartResult run_part(const ReportSpec& spec, const ReportPart& part) {
  const auto& what = spec.strategies[part.strategy].what;
  if (const auto* fixed = std::get_if<FixedStrategy>(&what)) return run_fixed(spec, part, *fixed);
  return PartSearch(spec, part, std::get<SearchSpace>(what)).run();
}

std::string to_line(std::size_t index, const PartResult& result) {
  Json j{{"part", index},
         {"visited", result.visited},
         {"refused", result.refused},
         {"rows", Json::array()}};
  if (!result.reason.empty()) j["reason"] = result.reason;
  for (const ReportRow& row : result.rows) j["rows"].push_back(json_of(row));
  return j.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::pair<std::size_t, PartResult> part_from_line(const std::string& line, std::size_t parts) {
  try {
    const Json j = Json::parse(line);
    PartResult out;
    const auto index = j.at("part").get<std::size_t>();
    if (index >= parts) {
      throw InputError(InputError::Parts{.place = "part",
                                         .expected = fmt::format("below {}", parts),
                                         .found = std::to_string(index)});
    }
    out.visited = j.at("visited").get<std::int64_t>();
    out.refused = j.at("refused").get<std::int64_t>();
    out.reason = j.value("reason", "");
    for (const Json& row : j.at("rows")) out.rows.push_back(row_from(row));
    return {index, out};
  } catch (const Json::exception& e) {
    throw InputError(InputError::Parts{.expected = "a part of a report",
                                       .found = std::string(e.what()).substr(0, 120)});
  }
}

Strategy strategy_of(const ReportSpec& spec, const ReportPart& part, const ReportRow& row) {
  const auto& what = spec.strategies[part.strategy].what;
  const NamedTransformer& model = spec.models[part.model];
  if (const auto* fixed = std::get_if<FixedStrategy>(&what)) {
    std::vector<std::string> lines;
    return strategy_for(spec, *fixed, model, spec.devices[part.device].ranks, lines);
  }
  const SearchSpace& space = std::get<SearchSpace>(what);
  Strategy s;
  s.layout = row.layout;
  s.recipe = space.recipes[part.recipe];
  s.recompute = space.recomputes[part.recompute];
  s.kernels = space.kernels;
  s.schedule = row.schedule;
  s.batch = row.batch;
  return s;
}

}  // namespace tidemark
