#include "sim/report_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/html_text.h"

namespace tidemark {
namespace {

constexpr double k_gib = 1024.0 * 1024 * 1024;
constexpr double k_width_px = 860;

// Okabe and Ito 2008: told apart also by people who see fewer colours.
constexpr std::array<const char*, 7> k_colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                               "#E69F00", "#56B4E9", "#999999"};

struct Share {
  const char* name;
  const char* colour;
  double RankMemory::*bytes;
};
constexpr std::array<Share, 4> k_shares{{{"states", "#0072B2", &RankMemory::states},
                                         {"layers", "#E69F00", &RankMemory::layers},
                                         {"ends", "#56B4E9", &RankMemory::ends},
                                         {"working", "#D55E00", &RankMemory::working}}};

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"12\" "
      "font-family=\"sans-serif\" fill=\"currentColor\">{}</text>\n",
      x, y, anchor, escaped(text));
}

std::string line(double x1, double y1, double x2, double y2, const char* more) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"currentColor\" "
      "{}/>\n",
      x1, y1, x2, y2, more);
}

std::string rectangle(double x, double y, double width, double height, const char* colour,
                      const std::string& title) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"><title>{}"
      "</title></rect>\n",
      x, y, std::max(width, 0.0), height, colour, escaped(title));
}

std::string begin_svg(double height_px, const std::string& label) {
  return fmt::format(
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\" "
      "xmlns=\"http://www.w3.org/2000/svg\">\n",
      k_width_px, height_px, escaped(label));
}

/// A square of the colour and its meaning, from `x` on; moves `x` behind it.
std::string legend(double& x, double y, const char* colour, const std::string& name) {
  const std::string out =
      rectangle(x, y - 10, 11, 11, colour, name) + text_at(x + 16, y, "start", name);
  x += 34 + 6.7 * static_cast<double>(name.size());
  return out;
}

/// Of the plot of a front.
struct Scale {
  double most_gib = 1;
  double most_s = 1;
  static constexpr double k_left = 64;
  static constexpr double k_top = 34;
  static constexpr double k_height = 300;
  static constexpr double k_plot_width = k_width_px - k_left - 20;
  [[nodiscard]] double x(double gib) const { return k_left + gib / most_gib * k_plot_width; }
  [[nodiscard]] double y(double s) const { return k_top + k_height * (1 - s / most_s); }
};

std::string axes(const Scale& scale) {
  std::string out;
  for (const double gib : axis_ticks(scale.most_gib)) {
    out += line(scale.x(gib), scale.y(0), scale.x(gib), scale.y(scale.most_s),
                "stroke-opacity=\"0.12\"") +
           text_at(scale.x(gib), scale.y(0) + 17, "middle", fmt::format("{:g}", gib));
  }
  for (const double s : axis_ticks(scale.most_s)) {
    out += line(scale.x(0), scale.y(s), scale.x(scale.most_gib), scale.y(s),
                "stroke-opacity=\"0.12\"") +
           text_at(scale.x(0) - 6, scale.y(s) + 4, "end", fmt::format("{:g}", s));
  }
  return out + text_at(scale.x(scale.most_gib), scale.y(0) + 34, "end", "GiB on each device") +
         text_at(4, Scale::k_top - 10, "start", "seconds of a step");
}

struct PointLabel {
  double x = 0;
  double y = 0;
  std::string text;
};

/// Points that lie so close together that their numbers would cover each other share one label.
void add_label(std::vector<PointLabel>& labels, double x, double y, int number) {
  const auto covers = [&](const PointLabel& label) {
    const double width = 7 * static_cast<double>(label.text.size()) + 4;
    return std::abs(label.y - y) < 13 && label.x - 18 < x && x < label.x + width;
  };
  const auto at = std::find_if(labels.begin(), labels.end(), covers);
  if (at == labels.end()) {
    labels.push_back({x, y, std::to_string(number)});
  } else {
    at->text += fmt::format(",{}", number);
  }
}

std::vector<const ReportEntry*> fitting(const Report& report, std::size_t model) {
  std::vector<const ReportEntry*> out;
  for (const ReportEntry& e : report.entries) {
    const bool fits = e.verdict != Verdict::too_large;
    if (e.part.model == model && fits && e.row.step_s) out.push_back(&e);
  }
  return out;
}

}  // namespace

std::vector<double> axis_ticks(double most) {
  std::vector<double> out;
  if (!(most > 0) || !std::isfinite(most)) return out;
  const double power = std::pow(10.0, std::floor(std::log10(most / 5)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (most / step <= 5) break;
    step = power * factor;
  }
  for (int i = 0; i * step <= most * (1 + 1e-9); ++i) out.push_back(i * step);
  return out;
}

std::vector<std::size_t> front_of(const Report& report, std::size_t model) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < report.entries.size(); ++i) {
    const ReportEntry& e = report.entries[i];
    if (e.part.model == model && e.on_front) out.push_back(i);
  }
  std::stable_sort(out.begin(), out.end(), [&report](std::size_t a, std::size_t b) {
    return report.entries[a].row.step_s.value_or(0) < report.entries[b].row.step_s.value_or(0);
  });
  return out;
}

std::string front_plot(const Report& report, std::size_t model) {
  const std::vector<const ReportEntry*> entries = fitting(report, model);
  if (entries.empty()) return "";
  Scale scale;
  for (const ReportEntry* e : entries) {
    scale.most_gib = std::max(scale.most_gib, e->demand.expected_bytes() / k_gib * 1.05);
    scale.most_s = std::max(scale.most_s, *e->row.step_s * 1.05);
  }
  if (scale.most_s == 1) {
    scale.most_s = 0;
    for (const ReportEntry* e : entries)
      scale.most_s = std::max(scale.most_s, *e->row.step_s * 1.05);
  }
  std::string out = begin_svg(Scale::k_top + Scale::k_height + 62, "memory and time") + axes(scale);
  const auto colour = [](std::size_t device) { return k_colours[device % k_colours.size()]; };
  for (const ReportEntry* e : entries) {
    out += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" fill-opacity=\"{}\"><title>{}: "
        "{}</title></circle>\n",
        scale.x(e->demand.expected_bytes() / k_gib), scale.y(*e->row.step_s), e->on_front ? 5 : 3,
        colour(e->part.device), e->on_front ? "1" : "0.45",
        escaped(device_text(report.spec.devices[e->part.device])), escaped(strategy_label(e->row)));
  }
  std::vector<PointLabel> labels;
  int number = 0;
  for (const std::size_t i : front_of(report, model)) {
    const ReportEntry& e = report.entries[i];
    add_label(labels, scale.x(e.demand.expected_bytes() / k_gib) + 7,
              scale.y(e.row.step_s.value_or(0)) - 6, ++number);
  }
  for (const PointLabel& label : labels) out += text_at(label.x, label.y, "start", label.text);
  double x = Scale::k_left;
  for (std::size_t d = 0; d < report.spec.devices.size() && x < k_width_px - 150; ++d) {
    const auto used = [d](const ReportEntry* e) { return e->part.device == d; };
    if (std::none_of(entries.begin(), entries.end(), used)) continue;
    out += legend(x, Scale::k_top + Scale::k_height + 52, colour(d),
                  device_text(report.spec.devices[d]));
  }
  return out + "</svg>\n";
}

std::string ranks_plot(const Report& report, const ReportDetail& detail) {
  constexpr std::size_t k_most_bars = 16;
  constexpr double k_left = 76;
  constexpr double k_row = 22;
  const double usable = report.entries[detail.entry].usable_bytes;
  double most = usable;
  for (const WalkedPeak& peak : detail.ranks) most = std::max(most, peak.memory.total());
  const double per_byte = (k_width_px - k_left - 90) / (most * 1.02);
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < detail.ranks.size(); ++i) {
    const bool many = detail.ranks.size() > k_most_bars;
    if (!many || i < k_most_bars / 2 || i + k_most_bars / 2 >= detail.ranks.size()) {
      shown.push_back(i);
    }
  }
  const double height = 30 + k_row * static_cast<double>(shown.size()) + 34;
  std::string out = begin_svg(height, "peak of each pipeline rank");
  double legend_x = k_left;
  for (const Share& share : k_shares) out += legend(legend_x, 14, share.colour, share.name);
  double y = 30;
  for (const std::size_t i : shown) {
    const RankMemory& m = detail.ranks[i].memory;
    out += text_at(k_left - 8, y + 14, "end", fmt::format("rank {}", m.rank));
    double x = k_left;
    for (const Share& share : k_shares) {
      const double bytes = m.*share.bytes;
      out += rectangle(x, y + 2, bytes * per_byte, k_row - 6, share.colour,
                       fmt::format("{} {:.2f} GiB", share.name, bytes / k_gib));
      x += bytes * per_byte;
    }
    out += text_at(x + 6, y + 14, "start", fmt::format("{:.1f} GiB", m.total() / k_gib));
    y += k_row;
  }
  const double x = k_left + usable * per_byte;
  return out + line(x, 24, x, y + 4, "stroke-width=\"1.5\" stroke-dasharray=\"5 3\"") +
         text_at(x, y + 20, "middle", fmt::format("{:.1f} GiB there", usable / k_gib)) + "</svg>\n";
}

}  // namespace tidemark
