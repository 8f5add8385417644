// The unpickler: what it reads, and what it refuses.
#include "traces/pickle.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

std::string bytes(std::initializer_list<int> list) {
  std::string out;
  for (const int b : list) out.push_back(static_cast<char>(b));
  return out;
}

std::string fault(const std::string& pickle) {
  try {
    const PickleDocument document(pickle);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

const std::string k_head = "\x80\x04";

}  // namespace

TEST_CASE("pickle: numbers, texts and containers") {
  // {'a': [1, -2, 300, 70000], 'b': (None, True, 2.5)} by protocol 2
  const PickleDocument d(bytes({0x80, 2}) + "}q\x01(X" + bytes({1, 0, 0, 0}) + "a](K\x01J" +
                         bytes({0xfe, 0xff, 0xff, 0xff}) + "M" + bytes({0x2c, 1}) + "J" +
                         bytes({0x70, 0x11, 1, 0}) + "eX" + bytes({1, 0, 0, 0}) + "bN\x88G" +
                         bytes({0x40, 0x04, 0, 0, 0, 0, 0, 0}) + "\x87u.");
  REQUIRE(d.kind(d.root()) == PickleKind::dict);
  const PickleRef* a = d.find(d.root(), "a");
  REQUIRE(a != nullptr);
  std::vector<std::int64_t> numbers;
  for (PickleRef item : d.items(*a)) numbers.push_back(d.integer(item));
  CHECK(numbers == std::vector<std::int64_t>{1, -2, 300, 70000});
  const PickleRef* b = d.find(d.root(), "b");
  REQUIRE(b != nullptr);
  REQUIRE(d.items(*b).size() == 3);
  CHECK(d.kind(d.items(*b)[0]) == PickleKind::none);
  CHECK(d.integer(d.items(*b)[1]) == 1);
  CHECK(d.real(d.items(*b)[2]) == 2.5);
  CHECK(d.find(d.root(), "c") == nullptr);
}

TEST_CASE("pickle: long integers are two's complement of up to 64 bits") {
  const auto value = [](const std::string& digits) {
    const PickleDocument d(k_head + "\x8a" + static_cast<char>(digits.size()) + digits + ".");
    return d.integer(d.root());
  };
  CHECK(value("") == 0);
  CHECK(value(bytes({0xff})) == -1);
  CHECK(value(bytes({0xff, 0x00})) == 255);
  CHECK(value(bytes({0, 0, 0, 0, 0, 0x7f})) == std::int64_t{0x7f} << 40);
  CHECK(fault(k_head + "\x8a\x09" + std::string(9, '\1') + ".") ==
        "byte 2: expected an integer of at most 64 bits, found one of 9 bytes");
}

TEST_CASE("pickle: shared values stay shared") {
  // [x, x] with x = ["s"], remembered
  const PickleDocument d(k_head + "](]\x94\x8c\x01saj" + bytes({0, 0, 0, 0}) + "e.");
  const auto& items = d.items(d.root());
  REQUIRE(items.size() == 2);
  CHECK(items[0] == items[1]);
}

TEST_CASE("pickle: whatever makes objects or runs code is refused by its name") {
  const std::pair<std::string, std::string> cases[] = {
      {"cos\nsystem\n", "GLOBAL"},
      {"\x8c\x02os\x8c\x06system\x93", "STACK_GLOBAL"},
      {"N)R", "REDUCE"},
      {"N}b", "BUILD"},
      {"(ios\nsystem\n", "INST"},
      {"(No", "OBJ"},
      {"N)\x81", "NEWOBJ"},
      {"N)}\x92", "NEWOBJ_EX"},
      {"\x82\x01", "EXT"},
      {"Pid\n", "PERSID"},
      {"NQ", "PERSID"},
      {"\x97", "NEXT_BUFFER"}};
  for (const auto& [code, name] : cases) {
    const std::string found = fault(k_head + code + ".");
    INFO(name);
    CHECK(found.find("found " + name + ", an instruction that makes objects or runs code") !=
          std::string::npos);
  }
}

TEST_CASE("pickle: hostile input gives one line and stays small") {
  CHECK(fault("").find("the end of the file") != std::string::npos);
  CHECK(fault("hello").find("a pickle of protocol 2 to 5") != std::string::npos);
  CHECK(fault(bytes({0x80, 1})).find("protocol 2 to 5") != std::string::npos);
  CHECK(fault(bytes({0x80, 6})).find("protocol 2 to 5") != std::string::npos);
  // A text of 2^63 bytes, a frame of 2^60, a memo number out of nowhere, a stack that is empty.
  CHECK(fault(k_head + "\x8d" + bytes({0, 0, 0, 0, 0, 0, 0, 0x80})).find("bytes, 0 are left") !=
        std::string::npos);
  CHECK(fault(k_head + "\x95" + bytes({0, 0, 0, 0, 0, 0, 0, 16})).find("a whole frame") !=
        std::string::npos);
  CHECK(fault(k_head + "Nr" + bytes({0xff, 0xff, 0xff, 0x0f})).find("the next memo number") !=
        std::string::npos);
  CHECK(fault(k_head + "h\x05.").find("a memo number that was set") != std::string::npos);
  CHECK(fault(k_head + ".").find("a value on the stack") != std::string::npos);
  CHECK(fault(k_head + "e.").find("an open MARK") != std::string::npos);
  CHECK(fault(k_head + "N(Ke.") != "");
  CHECK(fault(k_head + "}(Nu.").find("a value for every key") != std::string::npos);
  CHECK(fault(k_head + "NNa.").find("expected a list, found None") != std::string::npos);
  CHECK(fault(k_head + "NN.").find("one value at STOP") != std::string::npos);
  CHECK(fault(k_head + std::string(1000, '(')).find("nesting") != std::string::npos);
  CHECK(fault(k_head + "\xff.").find("byte 0xff") != std::string::npos);
  // Lists in lists a million deep are data, and are dropped without recursion.
  const std::string deep = k_head + std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  CHECK(fault(deep) == "");
  // A list that contains itself.
  CHECK(fault(k_head + "]\x94h" + bytes({0}) + "a.") == "");
}

TEST_CASE("pickle: every cut of a pickle is refused") {
  const std::string whole = k_head + "}\x94(\x8c\x01" + "a](K\x01K\x02" + "eu.";
  REQUIRE(fault(whole) == "");
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK(fault(whole.substr(0, size)) != "");
}
