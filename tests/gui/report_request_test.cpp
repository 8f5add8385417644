#include "gui/report_request.h"

#include <unistd.h>
#include <algorithm>

#include <filesystem>

#include "sim/device.h"
#include "sim/report_run.h"
#include "tests/catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

ReportRequest small_request() {
  return {.global_batch = 64,
          .models = {"llama3-8b"},
          .devices = {"h100-80g", "a100-80g"},
          .ranks = {1, 8},
          .strategies = {"zero3, recompute full", "ddp, recompute none"}};
}

Report report_of(const std::string& spec_text) {
  const ReportSpec spec = read_report_spec(spec_text, "spec", shipped_devices());
  SoloGroup alone;
  return make_report(spec, run_report(spec, {.threads = 1, .log_file = {}, .progress = {}}, alone));
}

}  // namespace

TEST_CASE("everything that can be ticked is a spec that can be read") {
  ReportRequest all;
  all.sequence = 2048;
  for (const NamedTransformer& model : named_transformers()) {
    all.models.push_back(model.model.name);
  }
  for (const Device& device : devices()) all.devices.push_back(device.name);
  for (const OfferedStrategy& offered : offered_strategies()) {
    all.strategies.push_back(offered.name);
  }
  const ReportSpec spec = read_report_spec(spec_of(all), "spec", shipped_devices());
  CHECK(spec.models.size() == all.models.size());
  CHECK(spec.devices.size() == all.devices.size() * all.ranks.size());
  REQUIRE(spec.strategies.size() == all.strategies.size());
  for (std::size_t i = 0; i < spec.strategies.size(); ++i) {
    CHECK(spec.strategies[i].name == all.strategies[i]);
  }
  CHECK(spec.global_batch == 128);
  CHECK(spec.sequence == 2048);
}

TEST_CASE("what is not ticked is missed by who reads the spec") {
  for (int missing = 0; missing < 3; ++missing) {
    ReportRequest request = small_request();
    if (missing == 0) request.models.clear();
    if (missing == 1) request.devices.clear();
    if (missing == 2) request.strategies.clear();
    CHECK_THROWS_AS(read_report_spec(spec_of(request), "spec", shipped_devices()), InputError);
  }
}

TEST_CASE("the table has one line per cell, with the figures of the report") {
  const Report report = report_of(spec_of(small_request()));
  const std::vector<ReportLine> lines = report_lines(report);
  REQUIRE(lines.size() == 8);
  CHECK(lines[0].model == "llama3-8b");
  CHECK(lines[0].devices == "1 x h100-80g");
  CHECK(lines[0].strategy == "ddp, recompute none");  // in the order of what is offered
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const ReportCell& cell = report.cells[i];
    CHECK(lines[i].verdict == cell.verdict);
    if (cell.best) {
      const ReportEntry& entry = report.entries[*cell.best];
      CHECK(lines[i].needs_bytes == entry.demand.expected_bytes());
      CHECK(lines[i].fits_probability == entry.fits_probability);
      CHECK((cell.verdict == CellVerdict::fits) == (entry.fits_probability >= 0.9));
    }
    CHECK_FALSE(lines[i].best.empty());
  }
  CHECK(std::ranges::count(lines, CellVerdict::fits, &ReportLine::verdict) > 0);
  CHECK(std::ranges::count(lines, CellVerdict::too_large, &ReportLine::verdict) > 0);
  CHECK(summary_of(report).find("; the fastest step is ") != std::string::npos);
}

TEST_CASE("a strategy that is not possible says why") {
  ReportRequest request = small_request();
  request.global_batch = 1;  // less than the ranks
  const std::vector<ReportLine> lines = report_lines(report_of(spec_of(request)));
  CHECK(lines.back().verdict != CellVerdict::fits);
  const auto impossible = std::ranges::find(lines, CellVerdict::not_possible, &ReportLine::verdict);
  REQUIRE(impossible != lines.end());
  CHECK(impossible->needs_bytes == -1);
  CHECK(impossible->fits_probability == -1);
  CHECK_FALSE(impossible->best.empty());
}

TEST_CASE("numbers of devices") {
  CHECK(parse_ranks("8, 64") == std::vector<std::int64_t>{8, 64});
  CHECK(parse_ranks(" 1 2,3 ") == std::vector<std::int64_t>{1, 2, 3});
  for (const char* bad : {"", " , ", "0", "-8", "eight", "8x", "8, 0", "99999999999999999999"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_ranks(bad), InputError);
  }
}

TEST_CASE("a report is exported as the command line writes it") {
  const Report report = report_of(spec_of(small_request()));
  const auto path = [](const std::string& ending) {
    return (std::filesystem::temp_directory_path() /
            ("tidemark_report." + std::to_string(::getpid()) + ending))
        .string();
  };
  const std::vector<std::pair<std::string, std::string>> forms = {{".html", report_html(report)},
                                                                  {".csv", report_csv(report)},
                                                                  {".json", report_json(report)},
                                                                  {".txt", report_text(report)}};
  for (const auto& [ending, content] : forms) {
    save_report(report, path(ending));
    CHECK(read_file(path(ending)) == content);
    std::filesystem::remove(path(ending));
  }
  CHECK_THROWS_AS(save_report(report, path(".doc")), InputError);
  CHECK_THROWS_AS(save_report(report, "/no/such/folder/report.csv"), InputError);
}
