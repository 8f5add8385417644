#include "profiler/dataset.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "sim/op_table.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

std::string digest_of(const std::string& bytes) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return text;
}

std::int64_t wrap(std::int64_t index, std::int64_t count) {
  const std::int64_t rest = index % count;
  return rest < 0 ? rest + count : rest;
}

/// The sample that is `index` of its part, of `count` samples in all.
std::int64_t sample_of(const BatchRequest& request, std::int64_t index, std::int64_t count) {
  const std::int64_t held_out = count / k_held_out_share;
  if (request.part == DataPart::all || held_out == 0) return wrap(index, count);
  if (request.part == DataPart::training) return wrap(index, count - held_out);
  return count - held_out + wrap(index, held_out);
}

std::string_view trimmed(std::string_view field) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '"'; };
  while (!field.empty() && blank(field.front())) field.remove_prefix(1);
  while (!field.empty() && blank(field.back())) field.remove_suffix(1);
  return field;
}

bool parse_number(std::string_view field, double& value) {
  field = trimmed(field);
  if (!field.empty() && field.front() == '+') field.remove_prefix(1);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc{} && end == field.data() + field.size() && std::isfinite(value);
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t begin = 0;;) {
    const std::size_t end = line.find(',', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return fields;
    begin = end + 1;
  }
}

InputError line_error(const std::string& file, std::int64_t line, const std::string& expected,
                      const std::string& found) {
  return InputError({file, "line " + std::to_string(line), expected, found});
}

/// All numbers of one line. `row` is cleared; false when no field at all is a number (a header).
bool parse_row(std::string_view text, std::int64_t line, const std::string& file,
               std::vector<double>& row) {
  row.clear();
  std::string_view bad;
  const std::vector<std::string_view> fields = split(text);
  for (const std::string_view field : fields) {
    double value = 0;
    if (parse_number(field, value)) {
      row.push_back(value);
    } else if (bad.empty()) {
      bad = field.empty() ? std::string_view("an empty field") : field;
    }
  }
  if (bad.empty()) return true;
  if (row.empty() && line == 1) return false;
  throw line_error(file, line, "numbers separated by commas", std::string(bad));
}

}  // namespace

Dataset Dataset::text(std::string bytes) {
  Dataset data;
  data.digest_ = digest_of(bytes);
  data.bytes_ = std::move(bytes);
  return data;
}

Dataset Dataset::table(const std::string& content, const std::string& file) {
  Dataset data;
  data.is_text_ = false;
  data.digest_ = digest_of(content);
  std::vector<double> row;
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view text = trimmed(std::string_view(content).substr(begin, end - begin));
    begin = end + 1;
    ++line;
    if (text.empty() || !parse_row(text, line, file, row)) continue;
    const auto columns = static_cast<std::int64_t>(row.size()) - 1;
    if (data.labels_.empty()) data.columns_ = columns;
    if (columns < 1 || columns != data.columns_) {
      throw line_error(file, line,
                       std::to_string(std::max<std::int64_t>(data.columns_, 1) + 1) + " columns",
                       std::to_string(row.size()));
    }
    const double label = row.back();
    if (label < 0 || label > 1e9 || label != std::floor(label)) {
      throw line_error(file, line, "a class (a whole number from 0) in the last column",
                       std::string(trimmed(split(text).back())));
    }
    data.values_.insert(data.values_.end(), row.begin(), row.end() - 1);
    data.labels_.push_back(static_cast<std::int32_t>(label));
    data.line_of_row_.push_back(line);
  }
  if (data.labels_.empty()) throw InputError({file, {}, "rows of numbers", "none"});
  for (std::int64_t c = 0; c < data.columns_; ++c) {
    double largest = 0;
    for (std::size_t i = static_cast<std::size_t>(c); i < data.values_.size();
         i += static_cast<std::size_t>(data.columns_)) {
      largest = std::max(largest, std::abs(data.values_[i]));
    }
    if (largest == 0) continue;
    for (std::size_t i = static_cast<std::size_t>(c); i < data.values_.size();
         i += static_cast<std::size_t>(data.columns_)) {
      data.values_[i] /= largest;
    }
  }
  return data;
}

void Dataset::load_tokens(const BatchRequest& request, std::int32_t* x,
                          std::int32_t* target) const {
  // The last window needs one more byte for its last target.
  const std::int64_t windows = (static_cast<std::int64_t>(bytes_.size()) - 1) / request.width;
  if (windows < 1) {
    throw InputError({.file = {},
                      .place = "data",
                      .expected = std::to_string(request.width + 1) + " bytes or more",
                      .found = std::to_string(bytes_.size())});
  }
  const std::int64_t tokens = request.tokens > 0 ? request.tokens : request.width;
  for (std::int64_t b = 0; b < request.count; ++b) {
    const std::int64_t window = sample_of(request, request.first + b, windows);
    const char* text = bytes_.data() + window * request.width + request.position;
    for (std::int64_t t = 0; t < tokens; ++t) {
      x[b * tokens + t] = static_cast<unsigned char>(text[t]);
      if (target == nullptr) continue;
      target[b * tokens + t] = static_cast<unsigned char>(text[t + 1]);
    }
  }
}

template <class T>
void Dataset::load_rows(const BatchRequest& request, T* x, std::int32_t* target) const {
  for (std::int64_t b = 0; b < request.count; ++b) {
    const std::int64_t row = sample_of(request, request.first + b, rows());
    const double* values = values_.data() + row * columns_;
    std::transform(values, values + request.width, x + b * request.width,
                   [](double value) { return static_cast<T>(value); });
    if (target != nullptr) target[b] = labels_[static_cast<std::size_t>(row)];
  }
}

void Dataset::load_samples(const BatchRequest& request, float* x, std::int32_t* target) const {
  load_rows(request, x, target);
}
void Dataset::load_samples(const BatchRequest& request, double* x, std::int32_t* target) const {
  load_rows(request, x, target);
}

void Dataset::require_held_out(const RunConfig& config, std::int64_t samples,
                               const std::string& file) const {
  if (config.eval_every == 0 || samples >= k_held_out_share) return;
  throw InputError(
      {file, "--eval-every",
       "at least " + std::to_string(k_held_out_share) + " samples, of which a tenth is held out",
       std::to_string(samples)});
}

void Dataset::require_text_fits(const RunConfig& config, const std::string& file) const {
  const auto bytes = static_cast<std::int64_t>(bytes_.size());
  if (bytes < config.sequence + 1) {
    throw InputError({file,
                      {},
                      "at least " + std::to_string(config.sequence + 1) + " bytes",
                      std::to_string(bytes)});
  }
  require_held_out(config, (bytes - 1) / config.sequence, file);
  const ModelConfig& model = config.model;
  const std::int64_t vocabulary =
      model.family == ModelFamily::llama ? model.llama.vocabulary : model.gpt2.vocabulary;
  for (std::size_t i = 0; vocabulary < 256 && i < bytes_.size(); ++i) {
    const int value = static_cast<unsigned char>(bytes_[i]);
    if (value >= vocabulary) {
      throw InputError({file, "byte " + std::to_string(i),
                        "a value below the vocabulary " + std::to_string(vocabulary),
                        std::to_string(value)});
    }
  }
}

void Dataset::require_table_fits(const RunConfig& config, const std::string& file) const {
  const bool is_mlp = config.model.family == ModelFamily::mlp;
  const ImageConfig& image = config.model.image;
  const std::int64_t inputs =
      is_mlp ? config.model.mlp.widths.front() : image.channels * image.height * image.width;
  const std::int64_t classes = is_mlp ? config.model.mlp.widths.back() : image.classes;
  if (columns_ != inputs) {
    throw line_error(file, line_of_row_.front(),
                     std::to_string(inputs) + " input columns and a class",
                     std::to_string(columns_) + " input columns");
  }
  require_held_out(config, rows(), file);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (labels_[i] < classes) continue;
    throw line_error(file, line_of_row_[i], "a class below " + std::to_string(classes),
                     std::to_string(labels_[i]));
  }
}

void Dataset::require_fits(const RunConfig& config, const std::string& file) const {
  const bool wants_text = config.model.is_decoder();
  if (wants_text != is_text_) {
    throw InputError({file,
                      {},
                      wants_text ? "text" : "a table of labelled samples",
                      is_text_ ? "text" : "a table"});
  }
  is_text_ ? require_text_fits(config, file) : require_table_fits(config, file);
}

}  // namespace tidemark
