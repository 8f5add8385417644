#include "traces/pickle.h"

#include <fmt/format.h>

#include <bit>
#include <limits>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_open_marks = 64;  // a snapshot nests 5 deep
constexpr std::int64_t k_most_memo = std::int64_t{1} << 28;
constexpr std::uint32_t k_no_row = std::numeric_limits<std::uint32_t>::max();

/// Names of the instructions that are refused because they make or call an object.
std::string_view forbidden(unsigned char code) {
  switch (code) {
    case 'c':
      return "GLOBAL";
    case 0x93:
      return "STACK_GLOBAL";
    case 'R':
      return "REDUCE";
    case 'b':
      return "BUILD";
    case 'i':
      return "INST";
    case 'o':
      return "OBJ";
    case 0x81:
      return "NEWOBJ";
    case 0x92:
      return "NEWOBJ_EX";
    case 0x82:
    case 0x83:
    case 0x84:
      return "EXT";
    case 'P':
    case 'Q':
      return "PERSID";
    case 0x97:
    case 0x98:
      return "NEXT_BUFFER";
    default:
      return "";
  }
}

}  // namespace

std::string_view name_of(PickleKind kind) {
  static constexpr std::string_view k_names[] = {"None",   "a boolean", "an integer", "a number",
                                                 "a text", "a list",    "a tuple",    "a dict"};
  return k_names[static_cast<std::size_t>(kind)];
}

/// The stack machine: reads one instruction after the other until STOP.
class PickleMachine {
 public:
  explicit PickleMachine(PickleDocument& document) : d_(document), bytes_(document.bytes_) {}

  void run() {
    if (bytes_.size() > k_no_row) fail("a pickle of less than 4 GiB", "a larger one");
    if (byte("the begin of a pickle (protocol 2 to 5)") != 0x80) {
      at_ = 0;
      begin_ = 0;
      fail("a pickle of protocol 2 to 5", "something else");
    }
    const unsigned protocol = byte("a protocol");
    if (protocol < 2 || protocol > 5) fail("protocol 2 to 5", fmt::format("{}", protocol));
    while (true) {
      begin_ = at_;
      const unsigned char code = byte("an instruction");
      if (code == '.') break;
      step(code);
    }
    d_.root_ = pop();
    if (!stack_.empty() || !marks_.empty()) fail("one value at STOP", "more");
  }

 private:
  [[noreturn]] void fail(std::string_view expected, std::string_view found) const {
    throw InputError(InputError::Parts{.place = fmt::format("byte {}", begin_),
                                       .expected = std::string(expected),
                                       .found = std::string(found)});
  }

  unsigned char byte(std::string_view what) {
    if (at_ >= bytes_.size()) fail(what, "the end of the file");
    return static_cast<unsigned char>(bytes_[at_++]);
  }

  /// Unsigned little-endian number of `count` bytes, 0 to 8.
  std::uint64_t number(std::size_t count) {
    if (bytes_.size() - at_ < count) fail("a whole pickle", "the end of the file");
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes_[at_ + i]);
    }
    at_ += count;
    return value;
  }

  PickleRef add(PickleKind kind, std::int64_t data, std::uint32_t size = 0) {
    d_.values_.push_back({kind, size, data});
    return {static_cast<std::uint32_t>(d_.values_.size() - 1)};
  }
  void push(PickleRef ref) { stack_.push_back(ref); }
  void push_integer(std::int64_t value) { push(add(PickleKind::integer, value)); }

  void push_text(std::uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail("a whole pickle",
           fmt::format("a text of {} bytes, {} are left", size, bytes_.size() - at_));
    }
    push(add(PickleKind::text, static_cast<std::int64_t>(at_), static_cast<std::uint32_t>(size)));
    at_ += size;
  }

  /// LONG: two's complement of any size; ours end at 64 bits.
  void push_long(std::uint64_t count) {
    if (count > 8) fail("an integer of at most 64 bits", fmt::format("one of {} bytes", count));
    std::uint64_t value = number(count);
    if (count > 0 && count < 8 && (value >> (8 * count - 1) & 1) != 0) {
      value |= ~std::uint64_t{0} << (8 * count);
    }
    push_integer(static_cast<std::int64_t>(value));
  }

  void push_items(PickleKind kind, std::size_t count) {
    if (stack_.size() - floor() < count) fail("values on the stack", "too few");
    d_.items_.emplace_back(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    push(add(kind, static_cast<std::int64_t>(d_.items_.size() - 1)));
  }

  /// Values below the last mark are out of reach.
  [[nodiscard]] std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleRef pop() {
    if (stack_.size() <= floor()) fail("a value on the stack", "none");
    const PickleRef ref = stack_.back();
    stack_.pop_back();
    return ref;
  }

  /// Number of values above the last mark, which is closed.
  std::size_t close_mark() {
    if (marks_.empty()) fail("an open MARK", "none");
    const std::size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }

  /// Moves the `count` topmost values into the list or dict below them.
  void extend(PickleKind kind, std::size_t count) {
    if (stack_.size() - floor() < count + 1) fail("values on the stack", "too few");
    const PickleRef target = stack_[stack_.size() - count - 1];
    if (d_.kind(target) != kind) fail(name_of(kind), name_of(d_.kind(target)));
    if (kind == PickleKind::dict && count % 2 != 0) fail("a value for every key", "a key alone");
    auto& items = d_.items_[static_cast<std::size_t>(d_.values_[target.row].data)];
    items.insert(items.end(), stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
  }

  void memoize(std::uint64_t index) {
    if (stack_.size() <= floor()) fail("a value to remember", "none");
    // Python numbers its memo from 0 without holes, so a large number alone is an attack.
    if (index > memo_.size() + 1024 || index > static_cast<std::uint64_t>(k_most_memo)) {
      fail("the next memo number", fmt::format("{} of {}", index, memo_.size()));
    }
    if (index >= memo_.size()) memo_.resize(index + 1, PickleRef{k_no_row});
    memo_[index] = stack_.back();
  }

  void recall(std::uint64_t index) {
    if (index >= memo_.size() || memo_[index].row == k_no_row) {
      fail("a memo number that was set", fmt::format("{}", index));
    }
    push(memo_[index]);
  }

  void step(unsigned char code) {
    if (!scalar(code) && !container(code) && !other(code)) refuse(code);
  }

  bool scalar(unsigned char code) {
    switch (code) {
      case 'N':
        push(add(PickleKind::none, 0));
        return true;
      case 0x88:
      case 0x89:
        push(add(PickleKind::boolean, code == 0x88 ? 1 : 0));
        return true;
      case 'J':
        push_integer(static_cast<std::int32_t>(number(4)));
        return true;
      case 'K':
        push_integer(static_cast<std::int64_t>(number(1)));
        return true;
      case 'M':
        push_integer(static_cast<std::int64_t>(number(2)));
        return true;
      case 0x8a:
        push_long(number(1));
        return true;
      case 0x8b:
        push_long(number(4));
        return true;
      case 'G': {  // the only big-endian number
        std::uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits = bits << 8 | byte("a whole pickle");
        push(add(PickleKind::real, static_cast<std::int64_t>(bits)));
        return true;
      }
      case 'U':  // SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE
      case 'C':
      case 0x8c:
        push_text(number(1));
        return true;
      case 'T':  // BINSTRING, BINBYTES, BINUNICODE
      case 'B':
      case 'X':
        push_text(number(4));
        return true;
      case 0x8e:  // BINBYTES8, BINUNICODE8
      case 0x8d:
        push_text(number(8));
        return true;
      default:
        return false;
    }
  }

  bool container(unsigned char code) {
    switch (code) {
      case ']':
        push_items(PickleKind::list, 0);
        return true;
      case '}':
        push_items(PickleKind::dict, 0);
        return true;
      case ')':
        push_items(PickleKind::tuple, 0);
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push_items(PickleKind::tuple, code - 0x84U);
        return true;
      case 't':
        push_items(PickleKind::tuple, close_mark());
        return true;
      case 'l':
        push_items(PickleKind::list, close_mark());
        return true;
      case 'd': {
        const std::size_t count = close_mark();
        if (count % 2 != 0) fail("a value for every key", "a key alone");
        push_items(PickleKind::dict, count);
        return true;
      }
      case 'a':
        extend(PickleKind::list, 1);
        return true;
      case 'e':
        extend(PickleKind::list, close_mark());
        return true;
      case 's':
        extend(PickleKind::dict, 2);
        return true;
      case 'u':
        extend(PickleKind::dict, close_mark());
        return true;
      default:
        return false;
    }
  }

  bool other(unsigned char code) {
    switch (code) {
      case '(':
        if (marks_.size() == k_most_open_marks) fail("nesting of at most 64 marks", "more");
        marks_.push_back(stack_.size());
        return true;
      case '0':
        if (stack_.size() > floor()) {
          stack_.pop_back();
        } else {
          close_mark();
        }
        return true;
      case '1':
        stack_.resize(stack_.size() - close_mark());
        return true;
      case '2':
        push(stack_.size() > floor() ? stack_.back() : pop());
        return true;
      case 0x94:
        memoize(memo_.size());
        return true;
      case 'q':
        memoize(number(1));
        return true;
      case 'r':
        memoize(number(4));
        return true;
      case 'h':
        recall(number(1));
        return true;
      case 'j':
        recall(number(4));
        return true;
      case 0x95:
        if (number(8) > bytes_.size() - at_) fail("a whole frame", "the end of the file");
        return true;
      default:
        return false;
    }
  }

  [[noreturn]] void refuse(unsigned char code) const {
    if (const std::string_view name = forbidden(code); !name.empty()) {
      fail("data only", fmt::format("{}, an instruction that makes objects or runs code", name));
    }
    fail("a pickle instruction of protocols 2 to 5", fmt::format("byte 0x{:02x}", code));
  }

  PickleDocument& d_;
  const std::string& bytes_;
  std::size_t at_ = 0;
  std::size_t begin_ = 0;  // of the instruction that is read
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;
  std::vector<PickleRef> memo_;
};

PickleDocument::PickleDocument(std::string bytes) : bytes_(std::move(bytes)) {
  PickleMachine(*this).run();
}

std::int64_t PickleDocument::integer(PickleRef ref) const {
  const Value& value = values_[ref.row];
  const bool has = value.kind == PickleKind::integer || value.kind == PickleKind::boolean;
  return has ? value.data : 0;
}

double PickleDocument::real(PickleRef ref) const {
  const Value& value = values_[ref.row];
  return value.kind == PickleKind::real ? std::bit_cast<double>(value.data)
                                        : static_cast<double>(integer(ref));
}

std::string_view PickleDocument::text(PickleRef ref) const {
  const Value& value = values_[ref.row];
  if (value.kind != PickleKind::text) return {};
  return std::string_view(bytes_).substr(static_cast<std::size_t>(value.data), value.size);
}

const std::vector<PickleRef>& PickleDocument::items(PickleRef ref) const {
  static const std::vector<PickleRef> k_nothing;
  const Value& value = values_[ref.row];
  const bool has = value.kind == PickleKind::list || value.kind == PickleKind::tuple ||
                   value.kind == PickleKind::dict;
  return has ? items_[static_cast<std::size_t>(value.data)] : k_nothing;
}

const PickleRef* PickleDocument::find(PickleRef dict, std::string_view key) const {
  if (kind(dict) != PickleKind::dict) return nullptr;
  const std::vector<PickleRef>& all = items(dict);
  for (std::size_t i = all.size(); i >= 2; i -= 2) {
    if (text(all[i - 2]) == key && kind(all[i - 2]) == PickleKind::text) return &all[i - 1];
  }
  return nullptr;
}

}  // namespace tidemark
