#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("columns of a matrix are taken as they are") {
  OpCase c(OpKind::slice_columns);
  c.reads("x", {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}).writes("y", {2, 2}).integer("first", 1);
  CHECK(c.run().at("y") == Numbers{2, 3, 6, 7});
}

TEST_CASE("columns beyond the matrix, and other rows, are refused") {
  OpCase beyond(OpKind::slice_columns);
  beyond.reads("x", {1, 4}, {1, 2, 3, 4}).writes("y", {1, 2}).integer("first", 3);
  CHECK_THROWS(beyond.run());
  OpCase rows(OpKind::slice_columns);
  rows.reads("x", {1, 4}, {1, 2, 3, 4}).writes("y", {2, 2}).integer("first", 0);
  CHECK_THROWS(rows.run());
}

TEST_CASE("insert_columns puts columns back where slice_columns took them from") {
  OpCase c(OpKind::insert_columns);
  c.reads("x", {2, 2}, {1, 2, 3, 4}).updates("y", {2, 4}, {9, 9, 9, 9, 8, 8, 8, 8});
  CHECK(c.integer("first", 1).run().at("y") == Numbers{9, 1, 2, 9, 8, 3, 4, 8});
  OpCase beyond(OpKind::insert_columns);
  beyond.reads("x", {1, 2}, {1, 2}).updates("y", {1, 3}, {0, 0, 0}).integer("first", 2);
  CHECK_FALSE(op_error(beyond.trace(), beyond.trace().ops[0]).empty());
  beyond.trace().ops[0].attributes[0].integer = 0;
  beyond.trace().ops[0].attributes[0].per_step = 1;
  CHECK_FALSE(op_error(beyond.trace(), beyond.trace().ops[0]).empty());
}
