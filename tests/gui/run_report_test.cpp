// The panel about the run: what is not known has no line, what went wrong has one.
#include "gui/run_report.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

std::string report_of(Trace trace) {
  ViewState state;
  state.run = run_of(std::move(trace));
  return run_report_html(state);
}

bool has(const std::string& html, const std::string& part) {
  return html.find(part) != std::string::npos;
}

/// As an import: memory events, no ops and no steps.
Trace plain_events() {
  test::Sketch sketch;
  sketch.trace.meta.kind = TraceKind::imported;
  const BufferId a = sketch.buffer("a", LayerId{}, Category::unknown, 4096);
  sketch.alloc(a);
  sketch.wait(100);
  sketch.free(a);
  return sketch.trace;
}

}  // namespace

TEST_CASE("report: what a trace does not know has no line") {
  const std::string html = report_of(plain_events());
  CHECK(has(html, ">peak<"));
  for (const char* absent : {"steps", "step time", "peak of a step", "backend", "Plan"}) {
    CAPTURE(absent);
    CHECK_FALSE(has(html, absent));
  }
  const std::string training = report_of(test::training_trace({}));
  for (const char* present : {">steps<", ">step time<", ">peak of a step<"}) {
    CAPTURE(present);
    CHECK(has(training, present));
  }
}

TEST_CASE("report: a run out of memory has a peak so far, and says what did not fit") {
  Trace trace = test::training_trace({});
  trace.events.push_back({.kind = EventKind::out_of_memory, .index = 0, .size_bytes = 4096});
  const std::string html = report_of(trace);
  CHECK(has(html, "</b> so far"));
  CHECK(has(html, "&nbsp;OUT OF MEMORY</td>"));
  CHECK(has(html, "ended OUT OF MEMORY: 4.00 KiB"));
  CHECK_FALSE(has(report_of(test::training_trace({})), "OUT OF MEMORY"));
}

TEST_CASE("report: categories are written as everywhere in the window") {
  const std::string html = report_of(test::training_trace({}));
  CHECK(has(html, ">optimizer state<"));
  CHECK_FALSE(has(html, "optimizer_state"));
}

TEST_CASE("report: figures of several runs stand in the same line and are not broken") {
  ViewState state;
  state.run = run_of(test::training_trace({}));
  Trace planned = test::training_trace({.recompute = true});
  planned.meta.kind = TraceKind::planned;
  planned.plan.method = "greedy";
  state.others = {run_of(planned)};
  const std::string html = run_report_html(state);
  const std::size_t line = html.find(">peak of a step<");
  REQUIRE(line != std::string::npos);
  const std::string row = html.substr(line, html.find("</tr>", line) - line);
  std::size_t cells = 0;
  for (std::size_t at = row.find("white-space:nowrap"); at != std::string::npos;
       at = row.find("white-space:nowrap", at + 1)) {
    ++cells;
  }
  CHECK(cells == 2);
  CHECK(html.find(">peak of a step<", line + 1) == std::string::npos);
  CHECK(has(html, "greedy"));
}
