#include "sim/pack_csv.h"

#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

std::string refusal(const std::string& text) {
  try {
    (void)pack_problem_from_csv(text, "f.csv");
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("pack csv: columns in any order, blank lines and blanks in cells") {
  const NamedProblem expected{
      .names = {"b1", "b2"},
      .blocks = {{.size_bytes = 4, .begin = -1, .end = 3},
                 {.size_bytes = 5, .begin = 3, .end = 9, .alignment_bytes = 8}}};
  CHECK(pack_problem_from_csv("id,lower,upper,size,alignment\nb1,-1,3,4,\nb2,3,9,5,8\n", "f") ==
        expected);
  CHECK(pack_problem_from_csv("size, alignment,upper,lower,id,hint\r\n4,1,3,-1, b1,\r\n\r\n"
                              "5,8,9,3,b2,-1",
                              "f") == expected);
}

TEST_CASE("pack csv: bad input is refused with line, column and reason") {
  const std::string header = "id,lower,upper,size,alignment,hint,gaps,offset\n";
  CHECK(contains(refusal(""), "id,lower,upper,size"));
  CHECK(contains(refusal("id,lower,upper\n"), "column 'size'"));
  CHECK(contains(refusal("id,lower,upper,size,size\n"), "twice"));
  CHECK(contains(refusal("id,lower,upper,size,colour\n"), "'colour'"));
  CHECK(contains(refusal(header + "a,0,1,-4,,,,\n"), "line 2, column size"));
  CHECK(contains(refusal(header + "a,0,1,4x,,,,\n"), "'4x'"));
  CHECK(contains(refusal(header + "a,0,1,99999999999999999999,,,,\n"), "below 2^62"));
  CHECK(contains(refusal(header + "a,5,1,4,,,,\n"), "at least lower (5)"));
  CHECK(contains(refusal(header + "a,0,1,4,0,,,\n"), "column alignment"));
  CHECK(contains(refusal(header + "a,0,1,4,,7,,\n"), "column hint"));
  CHECK(contains(refusal(header + "a,0,1,4,,,1-2,\n"), "column gaps"));
  CHECK(contains(refusal(header + "a,0,1,4,,,,8\n"), "column offset"));
  CHECK(contains(refusal(header + "a,0,1,4\n"), "8 cells"));
  CHECK(contains(refusal("id,lower,upper,size\na,0,1,4000000000000000000\n"
                         "b,0,1,4000000000000000000\n"),
                 "line 3"));
}

TEST_CASE("pack csv: written with offsets") {
  const NamedProblem problem = pack_problem_from_csv("id,lower,upper,size\nx,0,2,3\n", "f");
  CHECK(packing_to_csv(problem, {{7}, 10}) ==
        "id,lower,upper,size,alignment,offset\nx,0,2,3,1,7\n");
}

TEST_CASE("pack csv: the capacity in a file name") {
  CHECK(capacity_in_name("dir.5/A.1048576.csv") == 1048576);
  CHECK(capacity_in_name("A.12.csv.xz") == 12);
  CHECK(capacity_in_name("A.csv") == 0);
  CHECK(capacity_in_name("12.csv") == 0);
  CHECK(capacity_in_name("A.x12.csv") == 0);
  CHECK(capacity_in_name("A.0.csv") == 0);
}
