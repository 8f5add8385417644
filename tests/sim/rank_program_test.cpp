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
  RankProgram p(source, 1, 5);
  const Whole even = p.whole(named(source, "linear0.w"), "");  // 15 elements
  CHECK(even.owner == even.value);
  CHECK_FALSE(even.padding.valid());
  const Whole odd = p.whole(named(source, "linear1.b"), "");  // 7 elements
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
  RankProgram p(source, 0, 5);
  const BufferId weight = named(source, "linear1.b");  // 7 elements in parts of 2
  const Whole whole = p.whole(weight, "");
  std::vector<std::int64_t> padding;
  for (std::int32_t i = 0; i < 5; ++i) {
    const Buffer& part = p[p.part(weight, whole, i, ".shard")];
    CHECK(part.storage == whole.owner);
    CHECK(part.storage_offset_bytes == i * 8);
    CHECK(part.shard.count == 5);
    padding.push_back(part.shard.padding_bytes);
  }
  CHECK(padding == std::vector<std::int64_t>{0, 0, 0, 4, 8});
  CHECK_FALSE(p[p.own_part(weight, ".shard")].storage.valid());
}

TEST_CASE("a row of the source is taken over once, into the space of the rank") {
  const Trace source = build_program(odd_mlp(2));
  RankProgram p(source, 1, 2);
  const BufferId weight = named(source, "linear0.b");
  const BufferId kept = p.kept(weight);
  CHECK(p.kept(weight) == kept);
  CHECK(p[kept].space.rank == 1);
  CHECK(p[kept].origin == weight);
  CHECK(p.like(weight, ".other") != kept);
}

TEST_CASE("a finished program says whose it is") {
  const Trace source = build_program(odd_mlp(2));
  const Trace one = RankProgram(source, 1, 2).finish(", two");
  CHECK(one.meta.rank == 1);
  CHECK(one.meta.rank_count == 2);
  CHECK(one.meta.kind == TraceKind::planned);
  CHECK(one.meta.title == source.meta.title + ", two");
  CHECK(one.groups.at(0).ranks == std::vector<std::int32_t>{0, 1});
  CHECK(RankProgram(source, 0, 2, true).finish("").meta.rank_count == 1);
}
