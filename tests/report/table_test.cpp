#include "sim/table.h"

#include <stdexcept>

#include "tests/catch.h"

using tidemark::Table;

TEST_CASE("table: columns are as wide as their widest cell, numbers to the right") {
  Table table({"layer", ">bytes"});
  table.add({"block0.attention", "1"});
  table.add({"x", "1234567"});
  CHECK(table.text() ==
        "  layer               bytes\n"
        "  block0.attention        1\n"
        "  x                 1234567\n");
}

TEST_CASE("table: no heading line when all headings are empty, no blanks at line ends") {
  Table table({"", ""});
  table.add({"a", ""});
  CHECK(table.text() == "  a\n");
}

TEST_CASE("table: a row of the wrong length is a bug of the caller") {
  Table table({"one"});
  CHECK_THROWS_AS(table.add({"a", "b"}), std::logic_error);
}
