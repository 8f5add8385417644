// alive_rows() in two parts: a buffer of a long run has thousands of uses, and of the rows of a
// table few are seen.
#pragma once

#include "gui/instant.h"

namespace tidemark {

/// alive_rows() whose times of use are all -1.
[[nodiscard]] std::vector<AliveRow> alive_rows_without_uses(const Run& run, std::int64_t change,
                                                            std::size_t limit = SIZE_MAX);

/// First and last use of the life that `row` is, and the longest time between two.
void fill_uses(const Run& run, AliveRow& row);

}  // namespace tidemark
