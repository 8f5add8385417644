// The whole report: grid, best, front, and its forms.
#include "sim/report.h"

#include <nlohmann/json.hpp>

#include "../catch.h"
#include "report_samples.h"
#include "sim/report_plots.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Report small_report() {
  static const ReportSpec spec = spec_of(edited(small_text(), "A small report", "a < b & \"c\""));
  std::vector<PartResult> results;
  for (const ReportPart& part : report_parts(spec)) results.push_back(run_part(spec, part));
  return make_report(spec, results);
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("report: a cell for each model, kind of device and strategy, and the best of them") {
  const Report r = small_report();
  REQUIRE(r.cells.size() == 2 * 3 * 5);
  // 8 billion parameters of 16 bytes do not fit one device, and do when eight share them.
  CHECK(r.cells[0].verdict == CellVerdict::too_large);
  CHECK(r.cells[5 + 1].verdict == CellVerdict::fits);
  CHECK(r.cells[2].verdict == CellVerdict::not_possible);
  CHECK_FALSE(r.cells[2].reason.empty());
  REQUIRE(r.details.size() == 2 * 3);
  for (const ReportDetail& d : r.details) {
    const ReportEntry& best = r.entries[d.entry];
    for (const ReportEntry& e : r.entries) {
      const bool same = e.part.model == best.part.model && e.part.device == best.part.device;
      if (!same || e.verdict == Verdict::too_large) continue;
      REQUIRE(best.verdict <= e.verdict);
      if (best.verdict < e.verdict) continue;
      CHECK(best.row.step_s.value_or(0) <= e.row.step_s.value_or(0));
      if (!r.has_times) CHECK(best.demand.expected_bytes() <= e.demand.expected_bytes());
    }
    CHECK(static_cast<std::int64_t>(d.ranks.size()) == best.row.layout.pipeline);
  }
}

TEST_CASE("report: nothing on the front is beaten, everything else is") {
  const Report r = small_report();
  for (const ReportEntry& a : r.entries) {
    if (a.verdict == Verdict::too_large) {
      CHECK_FALSE(a.on_front);
      continue;
    }
    const bool beaten = std::any_of(r.entries.begin(), r.entries.end(), [&a](const auto& b) {
      const double needs = b.demand.expected_bytes();
      const bool better =
          needs < a.demand.expected_bytes() || b.row.step_s < a.row.step_s || b.price < a.price;
      const bool as_good = needs <= a.demand.expected_bytes() &&
                           b.row.step_s.value_or(0) <= a.row.step_s.value_or(0) &&
                           b.price.value_or(0) <= a.price.value_or(0);
      return b.verdict <= a.verdict && b.part.model == a.part.model && as_good && better;
    });
    CHECK(a.on_front != beaten);
  }
}

TEST_CASE("report: text, CSV and JSON say the same") {
  const Report r = small_report();
  const auto json = nlohmann::json::parse(report_json(r));
  CHECK(json["cells"].size() == r.cells.size());
  CHECK(json["rows"].size() == r.entries.size());
  const std::string csv = report_csv(r);
  CHECK(count(csv, "\n") == r.entries.size() + 1);
  CHECK(csv.starts_with("model,device,ranks,strategy,layout,schedule,recipe,"));
  const std::string text = report_text(r);
  CHECK(text.find("gpt2-own") != std::string::npos);
  CHECK(text.find("layout: expected sizes whose product is 1 ranks") != std::string::npos);
  CHECK(text.find("Assumed") != std::string::npos);
}

TEST_CASE("report: one page that needs nothing from outside") {
  const Report r = small_report();
  const std::string page = report_html(r);
  CHECK(page.find("<title>a &lt; b &amp; &quot;c&quot;</title>") != std::string::npos);
  CHECK(count(page, "<svg") == count(page, "</svg>"));
  CHECK(count(page, "<svg") >= r.details.size());
  CHECK(count(page, "<table") == count(page, "</table>"));
  CHECK(count(page, "<td") == count(page, "</td>"));
  CHECK(count(page, "<tr") == count(page, "</tr>"));
  for (const char* outside : {"<script", "src=", "href=", "url(", "@import"}) {
    CAPTURE(outside);
    CHECK(page.find(outside) == std::string::npos);
  }
  CHECK(page.find("nan") == std::string::npos);
  CHECK(report_html(small_report()) == page);
}
