// The JSON text form.
#include "traces/text.h"

#include <cmath>
#include <limits>

#include "../catch.h"
#include "random_trace.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::string document(const std::string& tables) {
  return R"({"tidemark": 1, )" + tables + "}";
}

void refuses(const std::string& text, const std::string& place, const std::string& expected) {
  CAPTURE(text.substr(0, 200));
  CHECK_THROWS_WITH(from_text(text), Catch::Contains(place) && Catch::Contains(expected));
}

}  // namespace

TEST_CASE("random traces come back equal from the text form, and give the same text") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Trace trace = random_trace(seed);
    const std::string text = to_text(trace);
    CAPTURE(seed);
    REQUIRE(from_text(text) == trace);
    REQUIRE(to_text(from_text(text)) == text);
  }
}

TEST_CASE("the text form leaves out what has its default, one row per line") {
  Trace trace;
  trace.layers = {{"a", "linear", {}}, {"b", "", LayerId{0}}};
  trace.program.body = {{InstructionKind::run, 5}};
  CHECK(to_text(trace) ==
        "{\n"
        "  \"tidemark\": 1,\n"
        "  \"layers\": [\n"
        "    {\"name\":\"a\",\"kind\":\"linear\"},\n"
        "    {\"name\":\"b\",\"parent\":0}\n"
        "  ],\n"
        "  \"body\": [\n"
        "    \"run 5\"\n"
        "  ]\n"
        "}\n");
}

TEST_CASE("a loss that is no number, infinite or negative zero survives the text form") {
  Trace trace;
  const double inf = std::numeric_limits<double>::infinity();
  for (double loss : {std::nan(""), inf, -inf, -0.0}) trace.steps.push_back({0, 0, 0, loss, true});
  const Trace back = from_text(to_text(trace));
  CHECK(std::isnan(back.steps[0].loss));
  CHECK(back.steps[1].loss == inf);
  CHECK(back.steps[2].loss == -inf);
  CHECK(std::signbit(back.steps[3].loss));
}

TEST_CASE("unknown tables and fields are named, not ignored") {
  refuses(document(R"("bufers": [])"), "document", "bufers");
  refuses(document(R"("buffers": [{}, {"nme": "x"}])"), "buffers[1]", "nme");
  refuses(document(R"("buffers": [{"space": {"rnk": 1}}])"), "buffers[0].space", "rnk");
  refuses(document(R"("meta": {"levl": 2})"), "meta", "levl");
}

TEST_CASE("a key that comes twice is refused: one of them would be ignored") {
  refuses(document(R"("meta": {"level": 1, "level": 2})"), "document", "level");
  refuses(document(R"("layers": [], "layers": [])"), "document", "layers");
  CHECK_NOTHROW(from_text(document(R"("layers": [{"name": "a"}, {"name": "b"}], "meta": {})")));
}

TEST_CASE("values of the wrong type are refused with table, row and field") {
  refuses(document(R"("buffers": [{"name": 3}])"), "buffers[0].name", "a string, found 3");
  refuses(document(R"("buffers": [{"size_bytes": 1.5}])"), "buffers[0].size_bytes", "an integer");
  refuses(document(R"("buffers": [{"size_bytes": "9"}])"), "buffers[0].size_bytes", "an integer");
  refuses(document(R"("buffers": [{"shape": 4}])"), "buffers[0].shape", "an array");
  refuses(document(R"("buffers": [{"shape": [1, "2"]}])"), "buffers[0].shape[1]", "an integer");
  refuses(document(R"("buffers": [{"category": "weigth"}])"), "buffers[0].category",
          "one of weight, optimizer_state");
  refuses(document(R"("buffers": [{"space": 0}])"), "buffers[0].space", "an object");
  refuses(document(R"("buffers": {})"), "buffers", "an array");
  refuses(document(R"("steps": [{"has_loss": 1}])"), "steps[0].has_loss", "true or false");
  refuses(document(R"("steps": [{"loss": "much"}])"), "steps[0].loss", "a number");
  refuses(document(R"("meta": [])"), "meta", "an object");
}

TEST_CASE("integers beyond their field are refused") {
  refuses(document(R"("ops": [{"copy": 2147483648}])"), "ops[0].copy", "32-bit");
  refuses(document(R"("meta": {"device_memory_bytes": 9223372036854775808})"),
          "meta.device_memory_bytes", "64-bit");
  CHECK(from_text(document(R"("meta": {"device_memory_bytes": 9223372036854775807})"))
            .meta.device_memory_bytes == INT64_MAX);
}

TEST_CASE("an instruction is a verb and a row") {
  const Trace t = from_text(document(R"("init": ["alloc 3", "run 0", "free 12"])"));
  CHECK(t.program.init == std::vector<Instruction>{{InstructionKind::alloc, 3},
                                                   {InstructionKind::run, 0},
                                                   {InstructionKind::free, 12}});
  for (const char* bad : {"\"alloc\"", "\"alloc -1\"", "\"alloc 1x\"", "\"alloc  1\"", "\"walk 1\"",
                          "\"run 99999999999\"", "\"\"", "3", "null", "[\"run\", 1]"}) {
    refuses(document(std::string(R"("body": [)") + bad + "]"), "body[0]", "\"run N\"");
  }
}

TEST_CASE("a document without the version key, or of another version, is refused") {
  refuses("{}", "document", "\"tidemark\"");
  refuses(R"({"tidemark": 2})", "document", "version 1, found 2");
  refuses(R"({"tidemark": "1"})", "document", "version 1");
  refuses("[1, 2]", "document", "version 1");
  CHECK(from_text(R"({"tidemark": 1})") == Trace{});
}

TEST_CASE("broken JSON is refused with line and column") {
  refuses("{\"tidemark\": 1,\n  \"meta\": {]}", "a trace in JSON", "line 2, column");
  refuses("", "a trace in JSON", "line 1");
}

TEST_CASE("nesting without end is refused and not printed") {
  const std::string deep(200000, '[');
  refuses(document(R"("meta": )" + deep), "document", "16 levels");
  refuses(deep, "document", "16 levels");
  const std::string closed = std::string(200000, '[') + std::string(200000, ']');
  refuses(document(R"("meta": )" + closed), "document", "16 levels");
}

TEST_CASE("long values are cut in the message") {
  const std::string name(100000, 'x');
  try {
    (void)from_text(document(R"("meta": {"level": ")" + name + "\"}"));
    FAIL("accepted");
  } catch (const InputError& e) {
    CHECK(std::string(e.what()).size() < 200);
  }
}
