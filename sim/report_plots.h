// The plots of a report as SVG that needs nothing from outside. Colours are attributes and text has
// the colour of the page, so that it reads in the dark, in the light and on paper.
#pragma once

#include <string>
#include <vector>

#include "sim/report.h"

namespace tidemark {

/// Entries of a model that are on the front, in the order of the numbers that the plot gives them.
[[nodiscard]] std::vector<std::size_t> front_of(const Report& report, std::size_t model);

/// Memory per device to the right, time of a step upwards; a colour for each kind of device, the
/// front numbered from 1. "" without times.
[[nodiscard]] std::string front_plot(const Report& report, std::size_t model);

/// One bar for each pipeline rank (the first and last of many): what holds its peak, beside the
/// memory of the device.
[[nodiscard]] std::string ranks_plot(const Report& report, const ReportDetail& detail);

/// "0", "50", "100" between 0 and `most`: steps of 1, 2 or 5 times a power of ten, at most six.
[[nodiscard]] std::vector<double> axis_ticks(double most);

}  // namespace tidemark
