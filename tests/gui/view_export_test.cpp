#include "gui/view_export.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gui/view_page.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "traces/error.h"

using namespace tidemark;
using test::run_of;

namespace {

ViewState training_state() {
  ViewState state;
  state.run = run_of(test::training_trace({}));
  lay_over(state, run_of(test::training_trace({.recompute = true})));
  state.range = limits_of(state);
  state.budget_bytes = 300 << 20;
  return state;
}

}  // namespace

TEST_CASE("the table of columns has a line per column, and its parts sum to the total") {
  const ViewState state = training_state();
  std::istringstream lines(columns_csv(state, 100));
  std::string line;
  std::getline(lines, line);
  CHECK(line.find("time_ns,max_bytes,min_bytes,weight,") == 0);
  std::int64_t highest = 0;
  int count = 0;
  for (; std::getline(lines, line); ++count) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream fields(line);
    std::int64_t begin = 0;
    std::int64_t most = 0;
    std::int64_t least = 0;
    fields >> begin >> most >> least;
    std::int64_t sum = 0;
    for (std::int64_t part = 0; fields >> part;) sum += part;
    CHECK(sum == most);
    CHECK(least <= most);
    highest = std::max(highest, most);
  }
  CHECK(count == 100);
  CHECK(highest == state.run->timeline().run_peak.bytes);
}

TEST_CASE("the view as JSON has the peak and what is alive there") {
  const ViewState state = training_state();
  const auto json = nlohmann::json::parse(view_json(state, 50));
  const Peak& peak = state.run->timeline().peak;
  CHECK(json["peak_bytes"] == peak.bytes);
  CHECK(json["columns"].size() == 50);
  CHECK(json["instant"]["alive"].size() == peak.owners.size());
  std::int64_t alive_bytes = 0;
  for (const auto& row : json["instant"]["alive"]) alive_bytes += row["bytes"].get<std::int64_t>();
  CHECK(alive_bytes == peak.bytes);
  CHECK(json["local_peaks"].size() == state.run->local_peaks().size());
}

TEST_CASE("the picture as SVG is by itself and escapes names") {
  ViewState state = training_state();
  const std::string svg = view_svg(state, light_colours(), 800, 400);
  CHECK(svg.find("<svg xmlns=") == 0);
  CHECK(svg.find("</svg>") != std::string::npos);
  CHECK(svg.find("#0072b2") != std::string::npos);  // weights
  CHECK(svg.find("budget 300.0 MiB") != std::string::npos);
  CHECK(svg.find("href") == std::string::npos);
  Trace trace = test::training_trace({});
  trace.meta.title = "a <b> & \"c\"";
  state = ViewState{};
  state.run = run_of(trace);
  state.range = limits_of(state);
  CHECK(view_svg(state, dark_colours(), 800, 400).find("a &lt;b&gt; &amp; &quot;c&quot;") !=
        std::string::npos);
  CHECK(view_svg(ViewState{}, light_colours(), 300, 200).find("</svg>") != std::string::npos);
}

TEST_CASE("the page has picture, figures, what is alive and the range, and needs nothing else") {
  ViewState state = training_state();
  const std::string page = view_page(state, dark_colours(), 800, 400);
  CHECK(page.find("<!DOCTYPE html>") == 0);
  CHECK(page.rfind("</body></html>\n") == page.size() - 15);
  for (const char* part : {"<svg xmlns=", "At the peak", "Difference", "Range in view",
                           "alive at its end", "budget 300.0 MiB"}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
  for (const char* part : {"href", "src=", "<script", "url("}) {
    CHECK(page.find(part) == std::string::npos);
  }
  state.pinned = instant_of_change(*state.run, 20);
  state.selection = ViewRange{state.range.begin, state.range.begin + 1000};
  const std::string pinned = view_page(state, light_colours(), 800, 400);
  CHECK(pinned.find("At the pinned instant") != std::string::npos);
  CHECK(pinned.find("Selected range") != std::string::npos);
  CHECK(view_page(ViewState{}, light_colours(), 300, 200).find("No run is open") !=
        std::string::npos);
  Trace trace = test::training_trace({});
  trace.buffers.front().name = "<i>w</i>";
  CHECK(view_page(test::state_of(run_of(trace)), light_colours(), 300, 200).find("<i>w") ==
        std::string::npos);
}

TEST_CASE("an end that is no kind of file is refused") {
  CHECK_THROWS_AS(export_view(training_state(), light_colours(), "view.docx"), InputError);
  CHECK_THROWS_AS(export_view(training_state(), light_colours(), "/no/such/folder/v.csv"),
                  InputError);
}
