#include "traces/pickle_writer.h"

#include <cassert>
#include <limits>

namespace tidemark {
namespace {

/// As Python does: readers may take what one instruction appends as arguments of one call.
constexpr int k_items_at_once = 1000;

}  // namespace

void PickleWriter::number(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xFF);
}

void PickleWriter::put(std::uint32_t memo) {
  out_ += memo < 256 ? 'q' : 'r';
  number(memo, memo < 256 ? 1 : 4);
}

void PickleWriter::get(std::uint32_t memo) {
  out_ += memo < 256 ? 'h' : 'j';
  number(memo, memo < 256 ? 1 : 4);
}

void PickleWriter::integer(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  if (value >= 0 && value < 256) {
    out_ += 'K';
    number(bits, 1);
  } else if (value >= 0 && value < 65536) {
    out_ += 'M';
    number(bits, 2);
  } else if (value >= std::numeric_limits<std::int32_t>::min() &&
             value <= std::numeric_limits<std::int32_t>::max()) {
    out_ += 'J';
    number(bits, 4);
  } else {
    out_ += '\x8a';
    number(8, 1);
    number(bits, 8);
  }
}

void PickleWriter::boolean(bool value) {
  out_ += value ? '\x88' : '\x89';
}

void PickleWriter::text(std::string_view value) {
  const auto [entry, is_new] = texts_.try_emplace(std::string(value), memo_count_);
  if (!is_new) return get(entry->second);
  out_ += 'X';
  number(value.size(), 4);
  out_ += value;
  put(memo_count_++);
}

void PickleWriter::begin_dict() {
  out_ += "}(";
  open_.push_back({});
}

void PickleWriter::begin_list() {
  out_ += "](";
  open_.push_back({.is_list = true});
}

void PickleWriter::item() {
  if (open_.back().items++ < k_items_at_once) return;
  out_ += "e(";
  open_.back().items = 1;
}

void PickleWriter::end() {
  out_ += open_.back().is_list ? 'e' : 'u';
  open_.pop_back();
}

void PickleWriter::pair(std::int64_t first, std::int64_t second) {
  integer(first);
  integer(second);
  out_ += '\x86';
}

void PickleWriter::remember(std::string_view name) {
  names_[std::string(name)] = memo_count_;
  put(memo_count_++);
}

bool PickleWriter::recall(std::string_view name) {
  const auto found = names_.find(std::string(name));
  if (found == names_.end()) return false;
  get(found->second);
  return true;
}

std::string PickleWriter::finish() && {
  assert(open_.empty());
  return std::move(out_ += '.');
}

}  // namespace tidemark
