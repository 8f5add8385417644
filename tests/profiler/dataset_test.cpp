#include "profiler/dataset.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/catch.h"
#include "tests/profiler/programs.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RunConfig text_config(std::int64_t sequence, std::int64_t vocabulary = 256) {
  RunConfig config;
  config.model.family = ModelFamily::gpt2;
  config.model.gpt2.vocabulary = vocabulary;
  config.batch = 2;
  config.sequence = sequence;
  return config;
}

RunConfig table_config(std::vector<std::int64_t> widths) {
  RunConfig config;
  config.model.mlp.widths = std::move(widths);
  config.batch = 2;
  return config;
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("text: windows follow each other, targets are shifted by one, the end wraps around") {
  const Dataset data = Dataset::text("abcdefgh\xff");  // windows of 3: abc, def
  std::int32_t x[6], target[6];
  data.load_tokens({.first = 1, .count = 2, .width = 3}, x, target);
  CHECK(std::vector<std::int32_t>(x, x + 6) ==
        std::vector<std::int32_t>{'d', 'e', 'f', 'a', 'b', 'c'});
  CHECK(std::vector<std::int32_t>(target, target + 6) ==
        std::vector<std::int32_t>{'e', 'f', 'g', 'b', 'c', 'd'});
  std::int32_t all[8], shifted[8];  // the longest window that the text has
  data.load_tokens({.first = 0, .count = 1, .width = 8}, all, shifted);
  CHECK(all[7] == 'h');
  CHECK(shifted[7] == 255);
}

TEST_CASE("a tenth is held out: training never sees it, both parts wrap around in themselves") {
  std::string letters;
  for (int i = 0; i < 47; ++i) letters += static_cast<char>(i);
  const Dataset text = Dataset::text(letters);  // 23 windows of 2 tokens: 21 and 2
  const auto first_tokens = [&](const Dataset& data, DataPart part, std::int64_t count) {
    std::vector<std::int32_t> x(static_cast<std::size_t>(2 * count)), target(x.size()), out;
    data.load_tokens({.first = 0, .count = count, .width = 2, .part = part}, x.data(),
                     target.data());
    for (std::size_t i = 0; i < x.size(); i += 2) out.push_back(x[i]);
    return out;
  };
  CHECK(first_tokens(text, DataPart::held_out, 3) == std::vector<std::int32_t>{42, 44, 42});
  const auto trained = first_tokens(text, DataPart::training, 22);
  CHECK(trained[20] == 40);
  CHECK(trained[21] == 0);
  CHECK(first_tokens(text, DataPart::all, 22)[21] == 42);
  const Dataset few = Dataset::text(letters.substr(0, 7));  // 3 windows: nothing can be held out
  CHECK(first_tokens(few, DataPart::training, 4) == std::vector<std::int32_t>{0, 2, 4, 0});

  const Dataset table = larger_table();
  std::vector<std::int32_t> target(5);
  std::vector<double> x(15);
  table.load_samples({.first = 1, .count = 2, .width = 3, .part = DataPart::held_out}, x.data(),
                     target.data());
  CHECK(target[0] == 23 % 3);
  CHECK(target[1] == 22 % 3);
  table.load_samples({.first = 21, .count = 2, .width = 3, .part = DataPart::training}, x.data(),
                     target.data());
  CHECK(target[1] == 0);

  RunConfig config = small_mlp();
  config.eval_every = 1;
  CHECK_NOTHROW(table.require_fits(config, "larger.csv"));
  CHECK_THROWS_WITH(small_table().require_fits(config, "small.csv"),
                    Catch::Contains("at least 10 samples"));
}

TEST_CASE("text: bytes above 127 are tokens above 127") {
  const Dataset data = Dataset::text("\x80\xff");
  std::int32_t x = 0, target = 0;
  data.load_tokens({.first = 0, .count = 1, .width = 1}, &x, &target);
  CHECK(x == 128);
  CHECK(target == 255);
}

TEST_CASE("text: too short, or with bytes beyond the vocabulary, is bad input") {
  const Dataset data = Dataset::text("abcd");
  data.require_fits(text_config(3), "t.txt");
  CHECK(error_of([&] { data.require_fits(text_config(4), "t.txt"); }) ==
        "t.txt: expected at least 5 bytes, found 4");
  CHECK(error_of([&] { data.require_fits(text_config(2, 'c'), "t.txt"); }) ==
        "t.txt: byte 2: expected a value below the vocabulary 99, found 99");
  CHECK_FALSE(error_of([&] { data.require_fits(table_config({1, 2}), "t.txt"); }).empty());
}

TEST_CASE("table: columns are scaled by their largest magnitude, the last one is the class") {
  const Dataset data = Dataset::table("width,height,kind\n2,0,1\r\n-4,0,0\n\n1e0,0,2\n", "t.csv");
  CHECK(data.rows() == 3);
  CHECK(data.columns() == 2);
  float x[4];
  std::int32_t target[2];
  data.load_samples({.first = 2, .count = 2, .width = 2}, x, target);
  CHECK(std::vector<float>(x, x + 4) == std::vector<float>{0.25F, 0, 0.5F, 0});
  CHECK(std::vector<std::int32_t>(target, target + 2) == std::vector<std::int32_t>{2, 1});
}

TEST_CASE("table: damage is named with its line, what was expected and what was found") {
  const auto load = [](const char* content) {
    return error_of([&] { static_cast<void>(Dataset::table(content, "t.csv")); });
  };
  CHECK(load("1,2,0\n1,0\n") == "t.csv: line 2: expected 3 columns, found 2");
  CHECK(load("1,2,0\n1,x,0\n") == "t.csv: line 2: expected numbers separated by commas, found x");
  CHECK(load("1,,0\n") ==
        "t.csv: line 1: expected numbers separated by commas, found an empty field");
  CHECK(load("1,nan,0\n") == "t.csv: line 1: expected numbers separated by commas, found nan");
  CHECK(load("1,2,0.5\n") ==
        "t.csv: line 1: expected a class (a whole number from 0) in the last column, found 0.5");
  CHECK(load("1,2,-1\n").find("line 1") != std::string::npos);
  CHECK(load("7\n") == "t.csv: line 1: expected 2 columns, found 1");
  CHECK(load("") == "t.csv: expected rows of numbers, found none");
  CHECK(load("a,b,c\n") == "t.csv: expected rows of numbers, found none");
}

TEST_CASE("table: a model with other inputs or fewer classes is refused with the line") {
  const Dataset data = Dataset::table("a,b,c\n1,2,0\n3,4,5\n", "t.csv");
  data.require_fits(table_config({2, 6}), "t.csv");
  CHECK(error_of([&] {
          data.require_fits(table_config({3, 6}), "t.csv");
        }) == "t.csv: line 2: expected 3 input columns and a class, found 2 input columns");
  CHECK(error_of([&] {
          data.require_fits(table_config({2, 5}), "t.csv");
        }) == "t.csv: line 3: expected a class below 5, found 5");
}

TEST_CASE("the digest of the data tells one text from another") {
  CHECK(Dataset::text("abc").digest() == Dataset::text("abc").digest());
  CHECK(Dataset::text("abc").digest() != Dataset::text("abd").digest());
  CHECK(Dataset::text("abc").digest().size() == 16);
}

TEST_CASE("find_dataset: a file of one's own, a folder of one's own, or a way to get the data") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "tidemark_data_test";
  std::filesystem::create_directories(folder);
  write_file((folder / "own.csv").string(), "1,2,0\n3,4,1\n");
  CHECK(find_dataset(table_config({2, 2}), (folder / "own.csv").string()).rows() == 2);
  CHECK_THROWS_AS(find_dataset(table_config({2, 2}), (folder / "none.csv").string()), InputError);

  write_file((folder / "digits.csv.gz").string(), "1,2,0\n");  // content decides, not the name
  setenv("TIDEMARK_DATA", folder.c_str(), 1);
  CHECK(find_dataset(table_config({2, 2}), "").rows() == 1);
  unsetenv("TIDEMARK_DATA");
  std::filesystem::remove_all(folder);
}

TEST_CASE("find_dataset: the licence texts are there on every Debian") {
  if (!std::filesystem::exists("/usr/share/common-licenses/GPL-3")) return;
  const Dataset data = find_dataset(text_config(64), "");
  CHECK(data.is_text());
}
