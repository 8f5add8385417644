// Python pickles, read as data only: protocols 2 to 5, numbers, text, lists, tuples and dicts.
//
// Nothing is ever executed: every instruction that names, calls or builds an object is refused by
// its name. Source of the instruction codes: Python's Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark {

enum class PickleKind : std::uint8_t { none, boolean, integer, real, text, list, tuple, dict };

/// A value by its row in the document. Shared objects have one row, however often they are named.
struct PickleRef {
  std::uint32_t row = 0;
  bool operator==(const PickleRef&) const = default;
};

/// Values of one pickle. Memory is bounded by the input: each instruction makes at most one value
/// of at most 64 bytes, and shared values stay shared. Values may contain themselves (Python allows
/// it), so whoever walks a document must go to a fixed depth only.
class PickleDocument {
 public:
  /// Throws InputError (place "byte N") for anything but a whole pickle of known content.
  /// `bytes` is kept: text values are views of it.
  explicit PickleDocument(std::string bytes);

  [[nodiscard]] PickleRef root() const { return root_; }
  [[nodiscard]] std::size_t rows() const { return values_.size(); }
  [[nodiscard]] PickleKind kind(PickleRef ref) const { return values_[ref.row].kind; }

  /// Of an integer or boolean; 0 for any other kind.
  [[nodiscard]] std::int64_t integer(PickleRef ref) const;
  /// Of a real, integer or boolean; 0 for any other kind.
  [[nodiscard]] double real(PickleRef ref) const;
  /// Of a text; empty for any other kind.
  [[nodiscard]] std::string_view text(PickleRef ref) const;
  /// Items of a list or tuple; key, value, key, value, ... of a dict; empty for any other kind.
  [[nodiscard]] const std::vector<PickleRef>& items(PickleRef ref) const;
  /// Value of a text key in a dict, the last one when it is there twice; nullptr when absent.
  [[nodiscard]] const PickleRef* find(PickleRef dict, std::string_view key) const;

 private:
  friend class PickleMachine;
  struct Value {
    PickleKind kind = PickleKind::none;
    std::uint32_t size = 0;  // text: bytes
    std::int64_t data = 0;   // integer; bits of a real; text: begin in bytes_; else a row of items_
  };

  std::string bytes_;
  std::vector<Value> values_;
  std::vector<std::vector<PickleRef>> items_;
  PickleRef root_;
};

/// "a dict", "a list", ... for error messages.
[[nodiscard]] std::string_view name_of(PickleKind kind);

}  // namespace tidemark
