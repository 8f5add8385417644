// Real training data: bytes of text, or a table of labelled samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config.h"

namespace tidemark {

/// All samples, or one of the two parts that they are split into (k_held_out_share of op_table.h).
enum class DataPart : std::uint8_t { all, training, held_out };

/// Which samples (rows) or sequences (windows of `width` tokens) a batch takes.
struct BatchRequest {
  std::int64_t first = 0;  // index of the first in its part; wraps around at the end of the part
  std::int64_t count = 0;  // B
  std::int64_t width = 0;  // T tokens, or K inputs
  DataPart part = DataPart::all;
  std::int64_t position = 0;  // of the first token of each window that is asked for
  std::int64_t tokens = 0;    // of each window from there on; 0 = all
};

class Dataset {
 public:
  /// Text at byte level: every byte is a token, 256 values.
  [[nodiscard]] static Dataset text(std::string bytes);

  /// CSV: the last column is the class, the others are inputs, each divided by its largest
  /// magnitude. A first line that holds no number is a header. `file` names the source in errors.
  [[nodiscard]] static Dataset table(const std::string& content, const std::string& file);

  /// IDX images (the MNIST format: magic 0x00000803, big endian) with the content of their label
  /// file (magic 0x00000801). Values are bytes / 255. `file` names the images in errors.
  [[nodiscard]] static Dataset idx(const std::string& images, const std::string& labels,
                                   const std::string& file);
  /// CIFAR-10 in its binary form: rows of one class byte and 3 x 32 x 32 bytes.
  [[nodiscard]] static Dataset cifar(const std::string& content, const std::string& file);
  /// Makes the samples images of this shape: the nearest pixel is taken, a grey image becomes all
  /// channels, of several channels the first ones are taken. A table is one grey square image.
  /// Throws InputError when it is not.
  void resize(const ImageConfig& image, const std::string& file);

  /// x [B,T] gets windows `first` .. first + B - 1, target the same shifted by one. Either kind of
  /// target may be null.
  void load_tokens(const BatchRequest& request, std::int32_t* x, std::int32_t* target) const;

  /// x [B,K] gets rows `first` .. first + B - 1, target [B] their classes.
  void load_samples(const BatchRequest& request, float* x, std::int32_t* target) const;
  void load_samples(const BatchRequest& request, double* x, std::int32_t* target) const;

  /// Throws InputError when the data cannot train or evaluate `config`: too short, wrong number of
  /// columns, or a token or class outside what the model has.
  void require_fits(const RunConfig& config, const std::string& file) const;

  /// XXH3 (64 bit, hexadecimal) of the data as they were read.
  [[nodiscard]] const std::string& digest() const { return digest_; }
  [[nodiscard]] bool is_text() const { return is_text_; }
  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(labels_.size()); }
  [[nodiscard]] std::int64_t columns() const { return columns_; }

 private:
  template <class T>
  void load_rows(const BatchRequest& request, T* x, std::int32_t* target) const;
  void require_held_out(const RunConfig& config, std::int64_t samples,
                        const std::string& file) const;
  void require_text_fits(const RunConfig& config, const std::string& file) const;
  void require_table_fits(const RunConfig& config, const std::string& file) const;

  struct ImageExtents {
    std::int64_t channels = 0, height = 0, width = 0;
  };

  ImageExtents extents_;  // of the samples; all 0 for a table
  bool is_text_ = true;
  std::string bytes_;                      // text
  std::int64_t columns_ = 0;               // table: inputs per row, without the class
  std::vector<double> values_;             // table: rows x columns
  std::vector<std::int32_t> labels_;       // table: one per row
  std::vector<std::int64_t> line_of_row_;  // table: where it came from, for errors
  std::string digest_;
};

/// Data for `config`: `path` when it is not empty, else the licence texts of the system (GPT-2) or
/// the 8x8 digits of scripts/setup (others; enlarged for image models). Throws InputError that says
/// what to do.
[[nodiscard]] Dataset find_dataset(const RunConfig& config, const std::string& path);

}  // namespace tidemark
