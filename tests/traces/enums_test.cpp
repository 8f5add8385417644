// Ids, names of enumerations, and the error type.
#include <set>
#include <type_traits>

#include "../catch.h"
#include "traces/error.h"
#include "traces/trace.h"

using namespace tidemark;

namespace {

template <class E>
void names_are_a_bijection() {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < EnumNames<E>::k_names.size(); ++i) {
    const auto value = static_cast<E>(i);
    CAPTURE(to_string(value));
    CHECK(seen.insert(to_string(value)).second);
    CHECK(parse_enum<E>(to_string(value)) == value);
  }
  CHECK_FALSE(parse_enum<E>("").has_value());
  CHECK_FALSE(parse_enum<E>("no such name").has_value());
}

}  // namespace

TEST_CASE("an id of one table is not an id of another") {
  CHECK_FALSE(std::is_convertible_v<LayerId, BufferId>);
  CHECK_FALSE(std::is_convertible_v<std::size_t, OpId>);
  CHECK_FALSE(std::is_constructible_v<OpId, BufferId>);
}

TEST_CASE("a default id is none, an id of a row is that row") {
  CHECK_FALSE(OpId{}.valid());
  CHECK(OpId{0}.valid());
  CHECK(OpId{7}.index() == 7);
  CHECK(OpId{} < OpId{0});
}

TEST_CASE("every enumeration has one name per value") {
  names_are_a_bijection<Category>();
  names_are_a_bijection<Phase>();
  names_are_a_bijection<SpaceKind>();
  names_are_a_bijection<DType>();
  names_are_a_bijection<StreamKind>();
  names_are_a_bijection<OpKind>();
  names_are_a_bijection<TimeSource>();
  names_are_a_bijection<InstructionKind>();
  names_are_a_bijection<EventKind>();
  names_are_a_bijection<DecisionKind>();
  names_are_a_bijection<TraceKind>();
}

TEST_CASE("the last value of each enumeration has the last name") {
  CHECK(to_string(Category::unknown) == "unknown");
  CHECK(EnumNames<Category>::k_names.size() == k_category_count);
  CHECK(to_string(OpKind::foreign) == "foreign");  // 32 in binary files: later kinds follow it
  CHECK(EnumNames<OpKind>::k_names.back() == to_string(OpKind::insert_columns));
  CHECK(to_string(EventKind::recording_begin) == EnumNames<EventKind>::k_names.back());
  CHECK(to_string(DType::u8) == EnumNames<DType>::k_names.back());
  CHECK(to_string(TraceKind::imported) == EnumNames<TraceKind>::k_names.back());
}

TEST_CASE("element sizes are those of the types") {
  CHECK(size_bytes(DType::f32) == 4);
  CHECK(size_bytes(DType::f64) == 8);
  CHECK(size_bytes(DType::bf16) == 2);
  CHECK(size_bytes(DType::f16) == 2);
  CHECK(size_bytes(DType::i32) == 4);
  CHECK(size_bytes(DType::i64) == 8);
  CHECK(size_bytes(DType::u8) == 1);
}

TEST_CASE("bytes are counted in granules, a view counts for none") {
  CHECK(round_up(0, 256) == 0);
  CHECK(round_up(1, 256) == 256);
  CHECK(round_up(256, 256) == 256);
  CHECK(round_up(257, 256) == 512);
  Buffer b;
  b.size_bytes = 300;
  CHECK(counted_bytes(b) == 512);
  b.storage = BufferId{0};
  CHECK(counted_bytes(b) == 0);
}

TEST_CASE("an integer attribute is an expression of the step, modulo 2^64") {
  Op op;
  op.attributes = {{"t", 1, 3, 0, ""}, {"huge", INT64_MAX, 1, 0, ""}, {"rate", 0, 0, 0.5, ""}};
  CHECK(integer_at(op, "t", 0) == 1);
  CHECK(integer_at(op, "t", 10) == 31);
  CHECK(integer_at(op, "huge", 1) == INT64_MIN);
  CHECK(integer_at(op, "absent", 4, -9) == -9);
  CHECK(real_of(op, "rate") == 0.5);
  CHECK(real_of(op, "absent", 2.0) == 2.0);
}

TEST_CASE("an input error says where, what was expected and what was found") {
  const InputError e(
      InputError::Parts{.file = "a.tmk", .place = "line 3", .expected = "x", .found = "y"});
  CHECK(std::string(e.what()) == "a.tmk: line 3: expected x, found y");
  CHECK(std::string(InputError(InputError::Parts{.expected = "x", .found = "y"}).what()) ==
        "expected x, found y");
  CHECK(std::string(InputError(InputError::Parts{.place = "p", .found = "y"}).what()) ==
        "p, found y");
  const InputError named =
      InputError(InputError::Parts{.place = "p", .expected = "x"}).in_file("f");
  CHECK(std::string(named.what()) == "f: p: expected x");
  CHECK(named.parts().file == "f");
  CHECK(std::string(InputError("plain").in_file("f").what()) == "f: plain");
}
