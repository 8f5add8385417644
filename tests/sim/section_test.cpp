// Fields by name and type; everything that is wrong is said, what nobody asked for is listed.
#include "sim/section.h"

#include "../catch.h"
#include "sim/strategy.h"
#include "traces/error.h"

using namespace tidemark;
using Lines = std::vector<std::string>;

TEST_CASE("section: all that is wrong has its line, with file, line and field") {
  const Document d = yaml_document(
      "layers: many\nshare: [1]\non: 1\nlist: 3\nrows: [1, {a: x}]\nschedule: fast\n", "s.yaml");
  Lines problems;
  Section s(d, problems);
  CHECK(s.integer("layers") == 0);
  CHECK(s.integer("heads") == 0);
  CHECK(s.real_or("share", 2.0) == 2.0);
  CHECK_FALSE(s.flag_or("on", false));
  CHECK(s.sections("list").empty());
  std::vector<Section> rows = s.sections("rows");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].integer_or("a", 7) == 0);
  CHECK(s.one_of("schedule", PipelineSchedule::gpipe) == PipelineSchedule::gpipe);
  CHECK(problems == Lines{"s.yaml: line 1: layers: expected an integer, found \"many\"",
                          "s.yaml: heads: expected an integer, found nothing",
                          "s.yaml: line 2: share: expected a number, found a list",
                          "s.yaml: line 3: on: expected true or false, found 1",
                          "s.yaml: line 4: list: expected a list, found 3",
                          "s.yaml: line 5: rows[0]: expected a table, found 1",
                          "s.yaml: line 5: rows[1].a: expected an integer, found \"x\"",
                          "s.yaml: line 6: schedule: expected one of gpipe, one_f_one_b, "
                          "interleaved, zero_bubble, found \"fast\""});
  CHECK_THROWS_WITH(require_none(problems), Catch::Contains("\ns.yaml: line 6"));
}

TEST_CASE("section: what was not asked for, in the order of the file") {
  const Document d = yaml_document("z: 1\na: {b: 1, c: {d: 2}}\nm: [{x: 1, y: 2}]\nq: 3\n", "s");
  Lines problems;
  Section s(d, problems);
  (void)s.integer("z");
  (void)s.section("a").integer("b");
  for (Section& row : s.sections("m")) (void)row.integer("x");
  CHECK(s.unread() == Lines{"a.c", "m[0].y", "q"});
  s.section("a").pass_all();
  s.pass({"q"});
  CHECK(s.unread() == Lines{"m[0].y"});
  CHECK(problems.empty());
}

TEST_CASE("section: a document that is no table says so") {
  const Document d = json_document("[1]", "list.json");
  Lines problems;
  Section s(d, problems);
  CHECK_FALSE(s.has("x"));
  CHECK(problems == Lines{"list.json: expected a table of fields, found a list"});
}
