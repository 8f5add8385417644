// One tree from three formats, with the lines of its fields.
#include "sim/document.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;
using Json = nlohmann::ordered_json;

TEST_CASE("document: the same tree from JSON, YAML and TOML") {
  const Json tree{{"name", "x"}, {"sizes", {1, 2}}, {"part", {{"on", true}, {"share", 0.5}}}};
  CHECK(json_document(tree.dump(), "a.json").root == tree);
  const Document yaml =
      document("name: x\nsizes: [1, 2]\npart:\n  on: true\n  share: 0.5\n", "a.yaml");
  CHECK(yaml.root == tree);
  CHECK(yaml.place("part.share") == "a.yaml: line 5: part.share");
  CHECK(yaml.place("sizes[1]") == "a.yaml: line 2: sizes[1]");
  const Document toml =
      document("name = 'x'\nsizes = [1, 2]\n[part]\non = true\nshare = 0.5\n", "a.toml");
  CHECK(Json::parse(toml.root.dump(), nullptr).at("part") == tree.at("part"));
  CHECK(toml.root.at("sizes") == tree.at("sizes"));
  CHECK(toml.place("part.share") == "a.toml: line 5: part.share");
  CHECK(document("{}", "a").place("x.y") == "a: x.y");
}

TEST_CASE("document: plain scalars of YAML by the core schema, quoted ones are text") {
  const Json root =
      yaml_document(
          "a: 1\nb: '1'\nc: 1e3\nd: ~\ne: yes\nf: 80GiB\ng: -.5\nh: 1.2.3\ni: \"true\"\nj: .inf\n",
          "y")
          .root;
  CHECK(root == Json{{"a", 1},
                     {"b", "1"},
                     {"c", 1000.0},
                     {"d", nullptr},
                     {"e", "yes"},
                     {"f", "80GiB"},
                     {"g", -0.5},
                     {"h", "1.2.3"},
                     {"i", "true"},
                     {"j", ".inf"}});
}

TEST_CASE("document: what is no document is refused with its line") {
  CHECK_THROWS_WITH(yaml_document("a: 1\nb: [1,\n", "y.yaml"), Catch::Contains("y.yaml: line"));
  CHECK_THROWS_WITH(yaml_document("a: 1\na: 2\n", "y.yaml"),
                    Catch::Contains("y.yaml: line 2: expected each field once, found 'a' again"));
  CHECK_THROWS_WITH(toml_document("a = 1\na = 2\n", "t.toml"), Catch::Contains("t.toml: line 2"));
  CHECK_THROWS_WITH(json_document("{\"a\": 1, \"a\": 2}", "j"), Catch::Contains("'a' again"));
  CHECK_THROWS_AS(json_document("{\"a\": ", "j"), InputError);
  // The same name in two tables is no repetition.
  CHECK_NOTHROW(json_document(R"({"a": {"x": 1}, "b": [{"x": 1}, {"x": 2}]})", "j"));
}

TEST_CASE("document: depth and size have limits, also through aliases") {
  for (const auto& [open, close] : {std::pair{"[", "]"}, std::pair{"{\"a\":", "}"}}) {
    std::string deep;
    for (int i = 0; i < 200; ++i) deep += open;
    deep += "1";
    for (int i = 0; i < 200; ++i) deep += close;
    CHECK_THROWS_WITH(json_document(deep, "j"), Catch::Contains("levels"));
    CHECK_THROWS_AS(yaml_document(deep, "y"), InputError);
  }
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  CHECK_THROWS_WITH(yaml_document(bomb, "y"), Catch::Contains("at most 100000 values"));
}
