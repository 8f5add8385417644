// Python pickles, written: protocol 2 with texts, numbers, lists, tuples of two and dicts, the part
// that pickle.h, Python and the viewer of PyTorch (torch/utils/viz/MemoryViz.js) all read.
// Source of the instruction codes: Python's Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidemark {

/// Values are written in the order of the calls. Between begin_dict() and end() keys and values
/// alternate; before each item of a list stands item(). Texts are stored once each.
class PickleWriter {
 public:
  void integer(std::int64_t value);
  void boolean(bool value);
  /// At most 4 GiB; UTF-8 (Python refuses other bytes).
  void text(std::string_view value);

  void begin_dict();
  void begin_list();
  void item();
  void end();
  void pair(std::int64_t first, std::int64_t second);

  /// Gives the value that was written last a name.
  void remember(std::string_view name);
  /// Writes the value of that name again, as the same object; false when there is none.
  bool recall(std::string_view name);

  /// The pickle. Every dict and list must be closed, and one value written.
  [[nodiscard]] std::string finish() &&;

 private:
  struct Open {
    bool is_list = false;
    int items = 0;  // since the last instruction that appends
  };
  void number(std::uint64_t value, int bytes);
  void put(std::uint32_t memo);
  void get(std::uint32_t memo);

  std::string out_ = "\x80\x02";
  std::vector<Open> open_;
  std::unordered_map<std::string, std::uint32_t> texts_;
  std::unordered_map<std::string, std::uint32_t> names_;
  std::uint32_t memo_count_ = 0;
};

}  // namespace tidemark
