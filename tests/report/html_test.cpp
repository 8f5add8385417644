#include "sim/html.h"

#include "sim/units.h"
#include "tests/catch.h"
#include "tests/report/two_layers.h"

using namespace tidemark;

namespace {

bool has(const std::string& page, const std::string& part) {
  return page.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("page: the figures of the run, every category that is drawn, nothing from outside") {
  const std::string page = html_page(test::two_layers());
  CHECK(has(page, "two layers"));
  CHECK(has(page, format_bytes(2048)));
  CHECK(has(page, ">weight</td>"));
  CHECK(has(page, ">activation</td>"));
  CHECK_FALSE(has(page, ">gradient</td>"));
  CHECK(has(page, "<svg"));
  CHECK_FALSE(has(page, "http"));
  CHECK_FALSE(has(page, "<script"));
}

TEST_CASE("page: names from a trace cannot become markup") {
  Trace trace = test::two_layers();
  trace.meta.title = "<script>alert(1)</script>";
  trace.layers[1].name = "a<b>&\"c";
  const std::string page = html_page(trace);
  CHECK_FALSE(has(page, "<script"));
  CHECK_FALSE(has(page, "a<b>"));
  CHECK(has(page, "a&lt;b&gt;&amp;&quot;c"));
}

TEST_CASE("page: the plan with its decisions") {
  Trace trace = test::two_layers();
  trace.plan.method = "greedy";
  trace.plan.budget_bytes = 4096;
  trace.decisions.push_back(
      {DecisionKind::recompute, BufferId{1}, OpId{2}, {}, {}, "idle for 3 ops"});
  const std::string page = html_page(trace);
  CHECK(has(page, "greedy"));
  CHECK(has(page, "budget " + format_bytes(4096)));
  CHECK(has(page, "recompute g: idle for 3 ops"));
}

TEST_CASE("page: an empty trace gives a page, not a crash") {
  CHECK(has(html_page(Trace{}), "</html>"));
}

TEST_CASE("page: axes for bytes and phases") {
  const std::string page = html_page(test::two_layers());
  CHECK(has(page, "class=\"y\">" + format_bytes(512) + "<"));
  CHECK(has(page, "class=\"phase\">forward<"));
  CHECK(has(page, "class=\"phase\">backward<"));
  CHECK_FALSE(has(page, "class=\"phase\">init<"));  // not in the step that is drawn
}

TEST_CASE("page: damage and out of memory stand at the top, a whole run has no warning") {
  Trace trace = test::two_layers();
  CHECK_FALSE(has(html_page(trace), "class=\"warning\""));
  trace.health.damaged_blocks = 2;
  test::add_event(trace, EventKind::out_of_memory, 400, 2);
  const std::string page = html_page(trace);
  CHECK(has(page, "<p class=\"warning\">NOT COMPLETE: 2 blocks damaged; ended OUT OF MEMORY"));
}
