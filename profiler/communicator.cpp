#include "profiler/communicator.h"

#include <algorithm>

namespace tidemark {
namespace {

/// Bytes from one index of each dimension to the next, of `ranks` parts joined along `dimension`.
std::vector<std::int64_t> strides_of(std::vector<std::int64_t> part, std::size_t dimension,
                                     std::int64_t ranks, std::int64_t element_bytes) {
  part[dimension] *= ranks;
  std::vector<std::int64_t> out(part.size());
  for (std::size_t d = part.size(); d-- > 0;) {
    out[d] = element_bytes;
    element_bytes *= part[d];
  }
  return out;
}

}  // namespace

bool is_collective(OpKind kind) {
  return kind == OpKind::all_reduce || kind == OpKind::reduce_scatter ||
         kind == OpKind::all_gather || kind == OpKind::all_to_all;
}

std::vector<Piece> pieces_of(const CollectiveCall& call, std::size_t sender, std::size_t receiver) {
  const auto ranks = static_cast<std::int64_t>(call.ranks.size());
  std::vector<std::int64_t> part(call.shape.begin(), call.shape.end());
  part[call.split] /= ranks;
  const auto in_x = strides_of(part, call.split, ranks, size_bytes(call.dtype));
  const auto in_y = strides_of(part, call.join, ranks, size_bytes(call.dtype));
  // From this dimension on a part is without gaps in both.
  const std::size_t inner = std::max(call.split, call.join);
  std::int64_t runs = 1;
  for (std::size_t d = 0; d < inner; ++d) runs *= part[d];
  std::vector<Piece> pieces;
  for (std::int64_t run = 0; run < runs; ++run) {
    const auto first = [](std::size_t place, std::int64_t extent, std::int64_t stride) {
      return static_cast<std::int64_t>(place) * extent * stride;
    };
    Piece piece{.from_bytes = first(receiver, part[call.split], in_x[call.split]),
                .to_bytes = first(sender, part[call.join], in_y[call.join]),
                .size_bytes = part[inner] * std::min(in_x[inner], in_y[inner])};
    std::int64_t index = run;
    for (std::size_t d = inner; d-- > 0; index /= part[d]) {
      piece.from_bytes += index % part[d] * in_x[d];
      piece.to_bytes += index % part[d] * in_y[d];
    }
    pieces.push_back(piece);
  }
  return pieces;
}

}  // namespace tidemark
