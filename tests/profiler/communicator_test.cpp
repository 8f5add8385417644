// What goes from whom to where in an exchange of all with all.
#include "profiler/communicator.h"

#include <array>

#include "tests/catch.h"

using namespace tidemark;

TEST_CASE("pieces of an all_to_all: of several runs, each byte once") {
  const std::vector<std::int64_t> shape{3, 4, 2, 5};
  for (std::size_t split = 0; split < 4; ++split) {
    for (std::size_t join = 0; join < 4; ++join) {
      if (split == join || shape[split] % 2 != 0) continue;
      CAPTURE(split, join);
      const std::vector<std::int32_t> two{0, 1};
      const CollectiveCall call{.ranks = two,
                                .dtype = DType::bf16,
                                .elements = 120,
                                .shape = shape,
                                .split = split,
                                .join = join};
      std::array<std::vector<int>, 2> sent{std::vector<int>(240), std::vector<int>(240)};
      std::vector<int> received(240);
      for (const std::size_t i : {0U, 1U}) {
        for (const std::size_t j : {0U, 1U}) {
          for (const Piece& piece : pieces_of(call, i, j)) {
            for (std::int64_t b = 0; b < piece.size_bytes; ++b) {
              ++sent[i].at(static_cast<std::size_t>(piece.from_bytes + b));
              if (j == 0) ++received.at(static_cast<std::size_t>(piece.to_bytes + b));
            }
          }
        }
      }
      for (const auto* counts : {&sent[0], &sent[1], &received}) {
        CHECK(*counts == std::vector<int>(240, 1));
      }
    }
  }
}
