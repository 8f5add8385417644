#include "sim/rank_program.h"

#include "../catch.h"
#include "sim/op_table.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

BufferId named(const Trace& trace, const std::string& name) {
  for (std::size_t i = 0; i < trace.buffers.size(); ++i) {
    if (trace.buffers[i].name == name) return BufferId{i};
  }
  FAIL("no buffer " << name);
  return {};
}

}  // namespace

TEST_CASE("a whole whose elements divide has no padding, another has a view of it") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram p(source, {.index = 1, .count = 5});
  const Whole even = p.whole(named(source, "linear0.w"), "", p.axis());  // 15 elements
  CHECK(even.owner == even.value);
  CHECK_FALSE(even.padding.valid());
  const Whole odd = p.whole(named(source, "linear1.b"), "", p.axis());  // 7 elements
  CHECK(p[odd.owner].name == "linear1.b.padded");
  CHECK(p[odd.owner].size_bytes == 10 * 4);
  CHECK(p[odd.value].name == "linear1.b");
  CHECK(p[odd.value].size_bytes == 7 * 4);
  CHECK(p[odd.padding].storage == odd.owner);
  CHECK(p[odd.padding].storage_offset_bytes == 7 * 4);
  CHECK(p[odd.padding].size_bytes == 3 * 4);
}

TEST_CASE("parts say which elements are padding, down to a part that is nothing else") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram p(source, {.count = 5});
  const BufferId weight = named(source, "linear1.b");  // 7 elements in parts of 2
  const Whole whole = p.whole(weight, "", p.axis());
  std::vector<std::int64_t> padding;
  for (std::int32_t i = 0; i < 5; ++i) {
    const Buffer& part = p[p.part(weight, whole, ".shard", {.index = i, .count = 5})];
    CHECK(part.storage == whole.owner);
    CHECK(part.storage_offset_bytes == i * 8);
    CHECK(part.shard.count == 5);
    padding.push_back(part.shard.padding_bytes);
  }
  CHECK(padding == std::vector<std::int64_t>{0, 0, 0, 4, 8});
  CHECK_FALSE(p[p.part(weight, Whole{}, ".shard", p.axis())].storage.valid());
}

TEST_CASE("a row of the source is taken over once, into the space of the rank") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram p(source, {.index = 1, .count = 2});
  const BufferId weight = named(source, "linear0.b");
  const BufferId kept = p.kept(weight);
  CHECK(p.kept(weight) == kept);
  CHECK(p[kept].space.rank == 1);
  CHECK(p[kept].origin == weight);
  CHECK(p.like(weight, ".other") != kept);
}

TEST_CASE("a finished program says whose it is") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram p(source, {.name = "all", .index = 1, .count = 2});
  p.part(named(source, "linear0.b"), Whole{}, "", p.axis());
  const Trace one = p.finish(", two");
  CHECK(one.meta.rank == 1);
  CHECK(one.meta.rank_count == 2);
  CHECK(one.meta.kind == TraceKind::planned);
  CHECK(one.meta.title == source.meta.title + ", two");
  CHECK(one.groups == std::vector<Group>{{.name = "all", .ranks = {0, 1}}});
  const Trace alone = RankProgram::alone(source, 2).finish("");
  CHECK(alone.meta.rank_count == 1);
  CHECK(alone.groups.empty());
}

TEST_CASE("axes compose: groups of the first move with the place on the second") {
  const Trace source = build_program(odd_mlp(2));
  const BufferId row = named(source, "linear0.b");
  RankProgram inner(source, {.name = "tensor", .index = 1, .count = 2});
  inner.add(OpKind::fill, "clear", {{"y", inner.part(row, Whole{}, "", inner.axis())}}, OpId{0},
            Pass::Section::init, {real("value", 0)});
  const Trace first = inner.finish("");
  const BufferId part = named(first, "linear0.b");
  RankProgram outer(first, {.name = "data", .index = 2, .count = 3, .stride = 2});
  const BufferId kept = outer.kept(part);
  CHECK(outer[kept].space.rank == 5);
  CHECK(outer[kept].shard == first[part].shard);
  outer.part(part, Whole{}, ".again", outer.axis());
  outer.meet_some("two", {0, 2}, OpKind::all_reduce, "sum", {{"x", kept}}, OpId{0},
                  Pass::Section::body);
  const Trace second = outer.finish("");
  CHECK(second.meta.rank == 5);
  CHECK(second.meta.rank_count == 6);
  CHECK(second.groups == std::vector<Group>{{.name = "tensor", .ranks = {4, 5}},
                                            {.name = "data", .ranks = {1, 3, 5}},
                                            {.name = "two", .ranks = {1, 5}}});
  // A further transform along the same axis adds nothing but what it says.
  RankProgram again(second, {.name = "data", .index = 2, .count = 3, .stride = 2, .placed = true});
  again.part(part, Whole{}, ".third", again.axis());
  const Trace third = again.finish("");
  CHECK(third.meta.rank == 5);
  CHECK(third.meta.rank_count == 6);
  CHECK(third.groups == second.groups);
}

TEST_CASE("a view is taken over with what it is a view of") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram inner(source, {.index = 1, .count = 2});
  const BufferId owner = inner.kept(named(source, "linear0.w"));
  inner.add(OpKind::fill, "clear", {{"y", inner.rows(owner, 1, 2, ".rows")}}, OpId{0},
            Pass::Section::init, {real("value", 0)});
  const Trace first = inner.finish("");
  RankProgram outer(first, {.index = 1, .count = 2, .stride = 2});
  const Buffer& view = outer[outer.kept(named(first, "linear0.w.rows"))];
  CHECK(outer[view.storage].name == "linear0.w");
  CHECK(view.storage_offset_bytes == first[named(first, "linear0.w.rows")].storage_offset_bytes);
}
