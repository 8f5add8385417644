// The ops of one stream, so that a picture of millions of them costs by the pixel and not by the
// op.
#pragma once

#include <cstdint>
#include <vector>

#include "gui/run_timeline.h"

namespace tidemark {

class StreamSpans {
 public:
  /// The spans of ops on `stream`; one without a stream counts as on 0. Both must outlive this.
  StreamSpans(const Trace& trace, const std::vector<OpSpan>& spans, std::int32_t stream);

  [[nodiscard]] std::int32_t stream() const { return stream_; }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  /// By begin.
  [[nodiscard]] const OpSpan& operator[](std::size_t at) const {
    return spans_[static_cast<std::size_t>(rows_[at])];
  }
  /// No op begins before the one before it has ended: so it is on a real stream.
  [[nodiscard]] bool in_order() const { return in_order_; }
  /// The first of [first, last) that begins at or after `time_ns`; `last` when none does.
  [[nodiscard]] std::size_t first_from(std::int64_t time_ns, std::size_t first,
                                       std::size_t last) const;
  /// The one of [first, last) that takes longest, of equals the first; first < last.
  [[nodiscard]] std::size_t longest(std::size_t first, std::size_t last) const;

 private:
  static constexpr std::size_t k_block = 64;
  [[nodiscard]] std::int64_t length_ns(std::size_t at) const {
    return (*this)[at].end_ns - (*this)[at].begin_ns;
  }
  [[nodiscard]] std::size_t scan(std::size_t first, std::size_t last) const;

  const std::vector<OpSpan>& spans_;
  std::int32_t stream_ = 0;
  bool in_order_ = true;
  std::vector<std::int32_t> rows_;          // of spans_
  std::vector<std::size_t> block_longest_;  // per k_block of rows_
};

/// One for each stream on which any op runs, ascending.
[[nodiscard]] std::vector<StreamSpans> spans_by_stream(const Trace& trace,
                                                       const std::vector<OpSpan>& spans);

}  // namespace tidemark
