// Random traces for property tests: every table filled, every id in range, drawn from a fixed seed.
#pragma once

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "traces/trace.h"

namespace tidemark::test {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  bool chance(int percent) { return between(1, 100) <= percent; }

  std::string text() {
    static const std::string k_letters = "abz09._-\"\\ \n\t/\xC3\xA9";  // whole UTF-8 characters
    std::string out;
    for (std::int64_t i = between(0, 12); i > 0; --i) {
      const auto at =
          static_cast<std::size_t>(between(0, static_cast<std::int64_t>(k_letters.size()) - 2));
      out += at == k_letters.size() - 2 ? "\xC3\xA9" : k_letters.substr(at, 1);
    }
    return out;
  }

  /// Any 64-bit number, the extremes often.
  std::int64_t any() {
    using Limits = std::numeric_limits<std::int64_t>;
    const std::int64_t number = static_cast<std::int64_t>(engine_());
    const std::int64_t choices[] = {0, 1, -1, Limits::min(), Limits::max(), number};
    return choices[between(0, 5)];
  }

  double real() {
    const double choices[] = {0.0,
                              -0.0,
                              1e-310,
                              -1e300,
                              std::numeric_limits<double>::infinity(),
                              static_cast<double>(between(-1000000, 1000000)) / 1024};
    return choices[between(0, 5)];
  }

  template <NamedEnum E>
  E of() {
    return static_cast<E>(between(0, static_cast<std::int64_t>(EnumNames<E>::k_names.size()) - 1));
  }

  /// A row below `rows`, or none.
  template <class IdType>
  IdType row_or_none(std::size_t rows) {
    return rows == 0 || chance(20) ? IdType{} : row<IdType>(rows);
  }
  template <class IdType>
  IdType row(std::size_t rows) {
    return IdType{static_cast<std::size_t>(between(0, static_cast<std::int64_t>(rows) - 1))};
  }

 private:
  std::mt19937_64 engine_;
};

/// About `size` rows in each table. Passes index_fault(); is no legal program.
Trace random_trace(std::uint64_t seed, std::int64_t size = 8);

/// A small trace with a row in every table and no random part.
Trace full_trace();

}  // namespace tidemark::test
