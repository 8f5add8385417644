// What is written is read again; long lists are appended in parts; texts stand once.
#include "traces/pickle_writer.h"

#include "../catch.h"
#include "traces/pickle.h"

using namespace tidemark;

TEST_CASE("pickle writer: numbers of every length come back") {
  const std::vector<std::int64_t> numbers = {
      0,        255,         256,         65535,
      65536,    2147483647,  2147483648,  std::int64_t{1} << 62,
      -1,       -2147483648, -2147483649, INT64_MIN,
      INT64_MAX};
  PickleWriter w;
  w.begin_list();
  for (const std::int64_t n : numbers) {
    w.item();
    w.integer(n);
  }
  w.item();
  w.boolean(true);
  w.item();
  w.pair(3, -4);
  w.end();
  const PickleDocument d(std::move(w).finish());
  const auto& items = d.items(d.root());
  REQUIRE(items.size() == numbers.size() + 2);
  for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(d.integer(items[i]) == numbers[i]);
  CHECK(d.kind(items[numbers.size()]) == PickleKind::boolean);
  CHECK(d.integer(d.items(items.back())[1]) == -4);
}

TEST_CASE("pickle writer: long lists keep every item, texts and named values are shared") {
  PickleWriter w;
  w.begin_dict();
  w.text("list");
  w.begin_list();
  for (int i = 0; i < 2500; ++i) {
    w.item();
    w.text("t" + std::to_string(i % 300));
  }
  w.end();
  w.remember("list");
  w.text("again");
  CHECK_FALSE(w.recall("other"));
  REQUIRE(w.recall("list"));
  w.end();
  const PickleDocument d(std::move(w).finish());
  const PickleRef* list = d.find(d.root(), "list");
  const PickleRef* again = d.find(d.root(), "again");
  REQUIRE(list != nullptr);
  REQUIRE(again != nullptr);
  CHECK(*list == *again);
  const auto& items = d.items(*list);
  REQUIRE(items.size() == 2500);
  CHECK(d.text(items[2499]) == "t99");
  CHECK(items[0] == items[300]);
}
