#include "profiler/dataset.h"

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::string word(std::int64_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
  return out;
}

/// Two images of 2 x 3.
std::string idx_images(std::int64_t count = 2) {
  std::string out = word(0x803) + word(count) + word(2) + word(3);
  for (int i = 0; i < 12; ++i) out += static_cast<char>(i * 20);
  return out;
}
std::string idx_labels() {
  return word(0x801) + word(2) + "\x01\x07";
}

Numbers first_sample(const Dataset& data, std::int64_t width) {
  Numbers x(static_cast<std::size_t>(width));
  std::int32_t target = 0;
  data.load_samples({.first = 0, .count = 1, .width = width}, x.data(), &target);
  x.push_back(target);
  return x;
}

}  // namespace

TEST_CASE("IDX images are bytes over 255 with their labels") {
  const Dataset data = Dataset::idx(idx_images(), idx_labels(), "images");
  CHECK(data.rows() == 2);
  CHECK(data.columns() == 6);
  CHECK(relative_error(first_sample(data, 6), {0, 20 / 255.0, 40 / 255.0, 60 / 255.0, 80 / 255.0,
                                               100 / 255.0, 1}) < 1e-15);
}

TEST_CASE("damaged IDX files are refused with what is wrong") {
  const auto refuses = [](const std::string& images, const std::string& labels,
                          const std::string& why) {
    CHECK_THROWS_WITH(Dataset::idx(images, labels, "f"), Catch::Contains(why));
  };
  refuses("", idx_labels(), "magic number");
  refuses(idx_labels(), idx_labels(), "magic number");
  refuses(idx_images(3), idx_labels(), "3 labels");
  refuses(idx_images() + "x", idx_labels(), "28 bytes, found 29");
  refuses(idx_images(), idx_labels() + "x", "10 bytes, found 11");
  refuses(word(0x803) + word(2) + word(0) + word(3), idx_labels(), "extent 1");
}

TEST_CASE("CIFAR rows are a class and three planes") {
  std::string content(std::size_t{2} * 3073, '\0');
  content[0] = 4;
  content[1] = static_cast<char>(255);
  const Dataset data = Dataset::cifar(content, "f");
  CHECK(data.rows() == 2);
  const Numbers x = first_sample(data, 3072);
  CHECK(x[0] == 1);
  CHECK(x[1] == 0);
  CHECK(x.back() == 4);
  for (const std::string& bad : {std::string(), content + "x"}) {
    CHECK_THROWS_WITH(Dataset::cifar(bad, "f"), Catch::Contains("multiple of 3073"));
  }
}

TEST_CASE("images are enlarged by the nearest pixel and become colour") {
  Dataset data = Dataset::table("0,1,2,4,0\n", "f");
  data.resize({.channels = 2, .height = 4, .width = 4}, "f");
  const Numbers x = first_sample(data, 32);
  for (std::size_t i = 0; i < 16; ++i) {
    const std::size_t pixel = i / 8 * 2 + i % 4 / 2;
    CHECK(x[i] == (pixel == 0 ? 0 : 1));
    CHECK(x[16 + i] == x[i]);
  }
  Dataset odd = Dataset::table("0,1,2,0\n", "f");
  CHECK_THROWS_WITH(odd.resize({.channels = 1, .height = 4, .width = 4}, "f"),
                    Catch::Contains("f: expected images: a square number of columns"));
}
