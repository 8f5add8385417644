#include "traces/columns.h"

#include <algorithm>
#include <array>

namespace tidemark {
namespace {

constexpr int k_deepest = 8;  // nesting of children; the model needs 2

[[noreturn]] void broken(const std::string& expected) {
  throw InputError(
      InputError::Parts{.place = "block", .expected = expected, .found = "something else"});
}

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::uint64_t take_varint(std::string_view bytes, std::size_t& at) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at >= bytes.size()) broken("more bytes");
    const auto byte = static_cast<std::uint8_t>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  broken("a varint of at most 10 bytes");
}

std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

std::string_view take_bytes(std::string_view in, std::size_t& at) {
  const std::uint64_t length = take_varint(in, at);
  if (length > in.size() - at) broken("a length inside the block");
  const std::string_view bytes = in.substr(at, static_cast<std::size_t>(length));
  at += bytes.size();
  return bytes;
}

void put_set(std::string& out, const ColumnSet& set) {
  put_varint(out, set.size());
  for (const Column& c : set) {
    put_bytes(out, c.name);
    out.push_back(static_cast<char>(c.type));
    put_bytes(out, c.bytes);
    put_set(out, c.children);
  }
}

void take_set(std::string_view in, std::size_t& at, ColumnSet& set, int depth) {
  if (depth > k_deepest) broken("columns nested less deep");
  const std::uint64_t count = take_varint(in, at);
  // Not resized to what the count claims: it grows with what is really there.
  for (std::uint64_t i = 0; i < count; ++i) {
    Column& c = set.emplace_back();
    c.name = take_bytes(in, at);
    if (at >= in.size()) broken("a column type");
    c.type = static_cast<ColumnType>(in[at++]);
    c.bytes = take_bytes(in, at);
    take_set(in, at, c.children, depth + 1);
  }
}

}  // namespace

std::int64_t StringTable::add(const std::string& text) {
  const auto [it, fresh] = index_.emplace(text, static_cast<std::int64_t>(strings.size()));
  if (fresh) strings.push_back(text);
  return it->second;
}

const std::string& StringTable::at(std::int64_t index) const {
  if (index < 0 || index >= static_cast<std::int64_t>(strings.size())) broken("a known string");
  return strings[static_cast<std::size_t>(index)];
}

void put_integer(Column& column, std::int64_t value) {
  // Unsigned: differences of far numbers wrap, and wrap back when they are read.
  const auto difference =
      static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(column.previous);
  put_varint(column.bytes, zigzag(static_cast<std::int64_t>(difference)));
  column.previous = value;
}

void put_integers(Column& column, std::span<const std::int64_t> values) {
  // Through a small buffer: a string that grows byte by byte asks for its capacity at each.
  constexpr std::size_t k_longest = 10;
  std::array<char, 128 * k_longest> buffer;
  auto previous = static_cast<std::uint64_t>(column.previous);
  while (!values.empty()) {
    const auto part = values.first(std::min(values.size(), buffer.size() / k_longest));
    char* end = buffer.data();
    for (const std::int64_t value : part) {
      const std::uint64_t difference = static_cast<std::uint64_t>(value) - previous;
      previous = static_cast<std::uint64_t>(value);
      std::uint64_t left = zigzag(static_cast<std::int64_t>(difference));
      for (; left >= 0x80; left >>= 7) *end++ = static_cast<char>(left | 0x80);
      *end++ = static_cast<char>(left);
    }
    column.bytes.append(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
    values = values.subspan(part.size());
  }
  column.previous = static_cast<std::int64_t>(previous);
}

std::int64_t take_integer(Column& column) {
  const std::int64_t difference = unzigzag(take_varint(column.bytes, column.position));
  column.previous = static_cast<std::int64_t>(static_cast<std::uint64_t>(column.previous) +
                                              static_cast<std::uint64_t>(difference));
  return column.previous;
}

void take_integers(Column& column, std::span<std::int64_t> values) {
  const std::string_view bytes = column.bytes;
  std::size_t at = column.position;
  auto value = static_cast<std::uint64_t>(column.previous);
  const auto byte = [&bytes](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  for (std::int64_t& number : values) {
    std::uint64_t raw = 0;
    if (at < bytes.size() && byte(at) < 0x80) {
      raw = byte(at++);  // most differences are small
    } else if (bytes.size() - at >= 2 && byte(at + 1) < 0x80) {
      raw = (byte(at) & 0x7fU) | static_cast<std::uint64_t>(byte(at + 1)) << 7;
      at += 2;
    } else {
      raw = take_varint(bytes, at);
    }
    value += static_cast<std::uint64_t>(unzigzag(raw));
    number = static_cast<std::int64_t>(value);
  }
  column.position = at;
  column.previous = static_cast<std::int64_t>(value);
}

void put_real(Column& column, double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 8; ++i) column.bytes.push_back(static_cast<char>(bits >> (8 * i)));
}

double take_real(Column& column) {
  if (column.bytes.size() - column.position < 8) broken("8 more bytes");
  std::uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    const auto byte = static_cast<std::uint8_t>(column.bytes[column.position++]);
    bits |= static_cast<std::uint64_t>(byte) << (8 * i);
  }
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::string serialize(const ColumnSet& columns, const StringTable& strings) {
  std::string out;
  put_varint(out, strings.strings.size());
  for (const std::string& text : strings.strings) put_bytes(out, text);
  put_set(out, columns);
  return out;
}

void parse(std::string_view payload, ColumnSet& columns, StringTable& strings) {
  std::size_t at = 0;
  const std::uint64_t count = take_varint(payload, at);
  for (std::uint64_t i = 0; i < count; ++i) {
    strings.strings.emplace_back(take_bytes(payload, at));
  }
  take_set(payload, at, columns, 0);
  if (at != payload.size()) broken("the end of the block after its columns");
}

Column* ColumnReader::find(Column& parent, std::size_t field, const char* name) {
  while (parent.resolved.size() <= field) {
    // Fields are visited in order, so the list grows by exactly the field that is asked for.
    int found = -1;
    for (std::size_t i = 0; i < parent.children.size() && found < 0; ++i) {
      if (parent.children[i].name == name) found = static_cast<int>(i);
    }
    parent.resolved.push_back(found);
  }
  const int child = parent.resolved[field];
  if (child < 0) return nullptr;
  Column& column = parent.children[static_cast<std::size_t>(child)];
  column.known = true;
  return &column;
}

void ColumnReader::wrong_type(const std::string& name) {
  throw InputError(InputError::Parts{.place = "column '" + name + "'",
                                     .expected = "the type that this version writes",
                                     .found = "another"});
}

void ColumnReader::check_length(Column& c, std::int64_t length) {
  // Every item takes at least one byte somewhere below, so more items than that are a lie.
  constexpr std::size_t k_most_items = std::size_t{1} << 24;
  std::size_t most = 0;
  for (const Column& child : c.children) {
    std::size_t bytes = child.bytes.size();
    for (const Column& below : child.children) bytes = std::max(bytes, below.bytes.size());
    most = std::max(most, bytes);
  }
  const auto left = static_cast<std::int64_t>(std::min(most, k_most_items)) - c.items;
  if (length < 0 || length > left) broken("a list inside the block");
  c.items += length;
}

void ColumnReader::check_consumed(const ColumnSet& set) {
  for (const Column& c : set) {
    if (!c.known) continue;  // of a newer version, or the items of lists that are all empty
    if (c.position != c.bytes.size()) broken("the end of column '" + c.name + "' after its rows");
    check_consumed(c.children);
  }
}

}  // namespace tidemark
