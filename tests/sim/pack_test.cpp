#include "sim/pack.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "sim/pack_search.h"
#include "tests/catch.h"
#include "tests/sim/pack_validator.h"

using namespace tidemark;

namespace {

/// A drawing: time goes right, memory goes up, each letter is a block; '.' is free. The blocks in
/// the order of their letters, and where the drawing has them.
struct Drawing {
  PackProblem problem;
  Packing packing;
};

Drawing draw(const std::vector<std::string>& lines) {
  std::map<char, std::size_t> rows;
  for (const std::string& line : lines) {
    for (const char c : line) {
      if (c != '.') rows[c] = 0;
    }
  }
  std::size_t next = 0;
  for (auto& [letter, row] : rows) row = next++;
  Drawing d{.problem = PackProblem(rows.size()),
            .packing = {.offset_bytes = std::vector<std::int64_t>(rows.size(), -1),
                        .height_bytes = static_cast<std::int64_t>(lines.size())}};
  for (std::int64_t y = 0; y < d.packing.height_bytes; ++y) {
    const std::string& line = lines[lines.size() - 1 - static_cast<std::size_t>(y)];
    for (std::size_t x = 0; x < line.size(); ++x) {
      if (line[x] == '.') continue;
      const std::size_t row = rows[line[x]];
      PackBlock& block = d.problem[row];
      const bool is_first = d.packing.offset_bytes[row] < 0;
      if (is_first) {
        d.packing.offset_bytes[row] = y;
        block.begin = static_cast<std::int64_t>(x);
      }
      block.size_bytes = y + 1 - d.packing.offset_bytes[row];
      block.end = std::max(block.end, static_cast<std::int64_t>(x) + 1);
    }
  }
  return d;
}

PackProblem random_problem(std::uint64_t seed, std::size_t count, bool aligned) {
  std::mt19937_64 engine(seed);
  const auto below = [&engine](std::int64_t n) {
    return static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(n));
  };
  PackProblem problem(count);
  for (PackBlock& b : problem) {
    b.size_bytes = below(5);
    b.begin = below(7) - 3;
    b.end = b.begin + below(5);
    b.alignment_bytes = aligned ? 1 + below(3) : 1;
  }
  return problem;
}

/// A rectangle that is cut again and again, along time or memory: packs without any waste. Blocks
/// are shuffled.
PackProblem cut_rectangle(std::uint64_t seed, std::size_t count, std::int64_t height) {
  struct Piece {
    std::int64_t begin, end, bytes;
  };
  std::mt19937_64 engine(seed);
  std::vector<Piece> pieces{{0, 1'000'000, height}};
  while (pieces.size() < count) {
    Piece& p = pieces[engine() % pieces.size()];
    const bool in_time = engine() % 2 == 0;
    const std::int64_t length = in_time ? p.end - p.begin : p.bytes;
    if (length < 2) continue;
    const std::int64_t cut =
        1 + static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(length - 1));
    Piece rest = p;
    if (in_time) {
      rest.begin = p.begin + cut;
      p.end = rest.begin;
    } else {
      rest.bytes -= cut;
      p.bytes = cut;
    }
    pieces.push_back(rest);
  }
  std::shuffle(pieces.begin(), pieces.end(), engine);
  PackProblem problem;
  for (const Piece& p : pieces) {
    problem.push_back({.size_bytes = p.bytes, .begin = p.begin, .end = p.end});
  }
  return problem;
}

std::int64_t least_height(const PackProblem& problem) {
  std::int64_t height = pack_bound(problem);
  while (!test::any_packing_fits(problem, height)) ++height;
  return height;
}

}  // namespace

TEST_CASE("pack: a drawing without waste is packed again without waste") {
  const Drawing d = draw({
      "aabbbb",
      "aacccd",
      "eeeeed",
      "ffgggd",
  });
  CHECK(packing_error(d.problem, d.packing).empty());
  CHECK(pack_bound(d.problem) == 4);
  const PackResult result = pack(d.problem, {.capacity_bytes = 4});
  CHECK(result.state == PackState::fits);
  CHECK(result.packing.height_bytes == 4);
  CHECK(test::packing_is_valid(d.problem, result.packing));
}

TEST_CASE("pack: the error names what is wrong with a packing") {
  const PackProblem two{{.size_bytes = 2, .begin = 0, .end = 2},
                        {.size_bytes = 2, .begin = 1, .end = 3, .alignment_bytes = 2}};
  CHECK(packing_error(two, {{0, 2}, 4}).empty());
  CHECK(packing_error(two, {{0, 2}, 3}) == "block 1 ends above the height");
  CHECK(packing_error(two, {{0, 1}, 4}) == "block 1 not aligned");
  CHECK(packing_error(two, {{1, 0}, 4}) == "block 1 overlaps block 0");
  CHECK(packing_error(two, {{0, 0}, 4}) == "block 1 overlaps block 0");
  CHECK(packing_error(two, {{1, 2}, 4}) == "block 1 overlaps block 0");
  CHECK(packing_error(two, {{0}, 4}) == "not one offset per block");
}

TEST_CASE("pack: the least height of random problems, by brute force") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const PackProblem problem = random_problem(seed, 3 + seed % 5, seed % 2 == 0);
    const std::int64_t least = least_height(problem);
    const PackResult result = pack(problem);
    INFO("seed " << seed);
    CHECK(result.state == PackState::fits);
    CHECK(result.packing.height_bytes == least);
    CHECK(result.bound_bytes == least);
    CHECK(test::packing_is_valid(problem, result.packing));
    CHECK(packing_error(problem, result.packing).empty());
    if (least <= 1) continue;
    const PackResult tight = pack(problem, {.capacity_bytes = least - 1});
    CHECK(tight.state == PackState::impossible);
    CHECK(test::packing_is_valid(problem, tight.packing));
  }
}

TEST_CASE("pack: rectangles that were cut up fit together again, the same way each time") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const PackProblem problem = cut_rectangle(seed, 30, 1000);
    INFO("seed " << seed);
    const PackResult result = pack(problem, {.capacity_bytes = 1000, .nodes = 400'000});
    CHECK(result.state == PackState::fits);
    CHECK(test::packing_is_valid(problem, result.packing));
    const PackResult again = pack(problem, {.capacity_bytes = 1000, .nodes = 400'000});
    CHECK(again.packing == result.packing);
    CHECK(again.nodes == result.nodes);
  }
}

TEST_CASE("pack: a limit that is too small is said, the packing is legal all the same") {
  const PackProblem problem = cut_rectangle(7, 200, 100'000);
  const PackResult result = pack(problem, {.capacity_bytes = 100'000, .nodes = 10});
  CHECK(test::packing_is_valid(problem, result.packing));
  CHECK((result.state == PackState::fits) == (result.packing.height_bytes <= 100'000));
  CHECK(result.state != PackState::impossible);
}

TEST_CASE("pack: the bound counts whole steps of the alignment, but not on top") {
  const PackProblem problem{{.size_bytes = 3, .begin = 0, .end = 2, .alignment_bytes = 4},
                            {.size_bytes = 5, .begin = 1, .end = 3, .alignment_bytes = 8}};
  CHECK(pack_step(problem) == 4);
  CHECK(pack_bound(problem) == 9);  // 4 + 8 - 3
  const PackResult result = pack(problem);
  CHECK(result.packing.height_bytes == 11);  // the second cannot begin at 4
  CHECK(result.state == PackState::fits);
  CHECK(result.bound_bytes == 11);
}

TEST_CASE("pack: no block, no bytes, no time") {
  CHECK(pack({}).packing == Packing{});
  CHECK(pack({}).state == PackState::fits);
  const PackProblem nothing{{.size_bytes = 0, .begin = 0, .end = 5},
                            {.size_bytes = 9, .begin = 3, .end = 3}};
  CHECK(pack(nothing).bound_bytes == 0);
  CHECK(PackSections(nothing).blocks.empty());
}

TEST_CASE("pack: sections are the maximal sets of blocks that live at once") {
  const Drawing d = draw({
      "aa.bbb",
      ".ccc.d",
  });
  const PackSections sections(d.problem);
  CHECK(sections.total_bytes == std::vector<std::int64_t>{2, 2, 2});
}
