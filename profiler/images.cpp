// Data sets of images: the IDX and CIFAR files, and images of another size than the model's.
#include <xxhash.h>

#include <cmath>
#include <cstdio>

#include "profiler/dataset.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_largest_side = 4096;

std::int64_t byte_at(const std::string& bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

/// Big endian; the caller has seen that it is there.
std::int64_t word_at(const std::string& bytes, std::size_t at) {
  std::int64_t word = 0;
  for (std::size_t i = 0; i < 4; ++i) word = word << 8 | byte_at(bytes, at + i);
  return word;
}

void want_bytes(const std::string& file, std::int64_t wanted, std::size_t found) {
  if (wanted == static_cast<std::int64_t>(found)) return;
  throw InputError({file, {}, std::to_string(wanted) + " bytes", std::to_string(found)});
}

/// Extents after the magic number, each from 1.
std::vector<std::int64_t> idx_extents(const std::string& bytes, const std::string& file,
                                      std::int64_t dimensions) {
  const auto header = static_cast<std::size_t>(4 + 4 * dimensions);
  const std::int64_t magic = 0x800 + dimensions;
  if (bytes.size() < header || word_at(bytes, 0) != magic) {
    throw InputError(
        {file, "begin", "the IDX magic number " + std::to_string(magic),
         bytes.size() < header ? "a shorter file" : std::to_string(word_at(bytes, 0))});
  }
  std::vector<std::int64_t> extents;
  for (std::int64_t i = 0; i < dimensions; ++i) {
    extents.push_back(word_at(bytes, static_cast<std::size_t>(4 + 4 * i)));
    const std::int64_t most = i == 0 ? std::int64_t{1} << 31 : k_largest_side;
    if (extents.back() < 1 || extents.back() > most) {
      throw InputError({file, "extent " + std::to_string(i), "1 to " + std::to_string(most),
                        std::to_string(extents.back())});
    }
  }
  return extents;
}

std::string digest_of(const std::string& bytes) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return text;
}

}  // namespace

Dataset Dataset::idx(const std::string& images, const std::string& labels,
                     const std::string& file) {
  const std::vector<std::int64_t> extents = idx_extents(images, file, 3);
  const std::vector<std::int64_t> rows = idx_extents(labels, file + " (labels)", 1);
  Dataset data;
  data.is_text_ = false;
  data.digest_ = digest_of(images + labels);
  data.extents_ = {1, extents[1], extents[2]};
  data.columns_ = extents[1] * extents[2];
  if (rows[0] != extents[0]) {
    throw InputError(
        {file + " (labels)", {}, std::to_string(extents[0]) + " labels", std::to_string(rows[0])});
  }
  want_bytes(file, 16 + extents[0] * data.columns_, images.size());
  want_bytes(file + " (labels)", 8 + rows[0], labels.size());
  data.values_.reserve(images.size() - 16);
  for (std::size_t i = 16; i < images.size(); ++i) {
    data.values_.push_back(static_cast<double>(byte_at(images, i)) / 255);
  }
  for (std::int64_t i = 0; i < rows[0]; ++i) {
    data.labels_.push_back(
        static_cast<std::int32_t>(byte_at(labels, static_cast<std::size_t>(8 + i))));
    data.line_of_row_.push_back(i + 1);
  }
  return data;
}

Dataset Dataset::cifar(const std::string& content, const std::string& file) {
  constexpr std::size_t k_side = 32;
  constexpr std::size_t k_row = 1 + 3 * k_side * k_side;
  if (content.empty() || content.size() % k_row != 0) {
    throw InputError({file,
                      {},
                      "a multiple of " + std::to_string(k_row) + " bytes",
                      std::to_string(content.size())});
  }
  Dataset data;
  data.is_text_ = false;
  data.digest_ = digest_of(content);
  data.extents_ = {3, k_side, k_side};
  data.columns_ = static_cast<std::int64_t>(k_row) - 1;
  for (std::size_t row = 0; row < content.size() / k_row; ++row) {
    data.labels_.push_back(static_cast<std::int32_t>(byte_at(content, row * k_row)));
    data.line_of_row_.push_back(static_cast<std::int64_t>(row) + 1);
    for (std::size_t i = 1; i < k_row; ++i) {
      data.values_.push_back(static_cast<double>(byte_at(content, row * k_row + i)) / 255);
    }
  }
  return data;
}

void Dataset::resize(const ImageConfig& image, const std::string& file) {
  ImageExtents from = extents_;
  if (from.channels == 0) {
    const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(columns_)));
    if (is_text_ || side * side != columns_) {
      throw InputError({file,
                        {},
                        "images: a square number of columns and a class",
                        is_text_ ? "text" : std::to_string(columns_) + " columns"});
    }
    from = {1, side, side};
  }
  const ImageExtents to{image.channels, image.height, image.width};
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(rows() * to.channels * to.height * to.width));
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t c = 0; c < to.channels; ++c) {
      for (std::int64_t y = 0; y < to.height; ++y) {
        for (std::int64_t x = 0; x < to.width; ++x) {
          const std::int64_t channel = std::min(c, from.channels - 1);
          const std::int64_t pixel =
              ((row * from.channels + channel) * from.height + y * from.height / to.height) *
                  from.width +
              x * from.width / to.width;
          values.push_back(values_[static_cast<std::size_t>(pixel)]);
        }
      }
    }
  }
  extents_ = to;
  values_ = std::move(values);
  columns_ = to.channels * to.height * to.width;
}

}  // namespace tidemark
