// Rows to columns and back: the payload of a block. FORMAT.md, section "Columns", is the
// specification. Every field of a row type is a column of its own, told by name, so that a reader
// skips columns that it does not know and leaves the default where a column is absent.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "traces/error.h"
#include "traces/fields.h"

namespace tidemark {

/// How the bytes of a column are to be read. Frozen.
enum class ColumnType : std::uint8_t {
  integer = 0,  // zigzag varint of the difference to the row before
  real = 1,     // 8 bytes, IEEE 754, little-endian
  string = 2,   // as integer: index into the strings of the block
  list = 3,     // as integer: length; the items are the rows of the children
  row = 4,      // no bytes of its own; the fields are the children
};

template <class T>
constexpr ColumnType column_type() {
  if constexpr (std::is_same_v<T, double>) return ColumnType::real;
  if constexpr (std::is_same_v<T, std::string>) return ColumnType::string;
  if constexpr (RowType<T>) return ColumnType::row;
  if constexpr (requires(T v) { v.push_back(v[0]); } && !std::is_same_v<T, std::string>) {
    return ColumnType::list;
  }
  return ColumnType::integer;
}

/// Integers, enumerations, typed ids and booleans as one 64-bit number.
template <class T>
std::int64_t to_integer(const T& value) {
  if constexpr (requires { value.value; }) {
    return value.value;
  } else {
    return static_cast<std::int64_t>(value);
  }
}

/// The reverse. Throws InputError when the number does not fit T.
template <class T>
void from_integer(std::int64_t number, T& value) {
  const auto reject = [number](const char* what) {
    throw InputError(
        InputError::Parts{.place = "block", .expected = what, .found = std::to_string(number)});
  };
  if constexpr (requires { value.value; }) {
    from_integer(number, value.value);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (number != 0 && number != 1) reject("0 or 1");
    value = number == 1;
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(number);  // range-checked by the caller, which knows the names
  } else {
    value = static_cast<T>(number);
    if (static_cast<std::int64_t>(value) != number) reject("a 32-bit number");
  }
}

struct Column;
using ColumnSet = std::vector<Column>;

struct Column {
  std::string name;
  ColumnType type = ColumnType::integer;
  std::string bytes;
  ColumnSet children;
  std::int64_t previous = 0;  // writer and reader: value of the row before
  std::size_t position = 0;   // reader: next byte
  std::int64_t items = 0;     // reader: items of all lists so far
  bool known = false;         // reader: this version asked for it
  std::vector<int> resolved;  // reader: field number -> child column, -1 = absent
};

/// The strings of one block, each stored once, in order of first use.
class StringTable {
 public:
  std::int64_t add(const std::string& text);
  [[nodiscard]] const std::string& at(std::int64_t index) const;
  std::vector<std::string> strings;

 private:
  std::unordered_map<std::string, std::int64_t> index_;
};

/// A row of integers, enumerations and ids only: its columns can be read one after the other.
template <class Row>
constexpr bool is_flat() {
  bool flat = true;
  Fields<Row>::each([&flat]<class Owner, class T>(const char*, T Owner::*) {
    flat = flat && column_type<T>() == ColumnType::integer;
  });
  return flat;
}

void put_integer(Column& column, std::int64_t value);
/// The same for all of `values`, the fast way: one loop into the bytes of the column.
void put_integers(Column& column, std::span<const std::int64_t> values);
[[nodiscard]] std::int64_t take_integer(Column& column);
/// The next `values.size()` values, the fast way: one loop over the bytes of the column.
void take_integers(Column& column, std::span<std::int64_t> values);
void put_real(Column& column, double value);
[[nodiscard]] double take_real(Column& column);

/// The directory, the strings and all columns as bytes, and back. `parse` throws InputError on
/// anything that does not add up.
[[nodiscard]] std::string serialize(const ColumnSet& columns, const StringTable& strings);
void parse(std::string_view payload, ColumnSet& columns, StringTable& strings);

/// Appends rows to columns.
class ColumnWriter {
 public:
  template <class Row>
  void add(const Row& row) {
    add_fields(columns_, row);
  }

  /// The same as `add` of each of them.
  template <class Row>
  void add_all(std::span<const Row> rows) {
    if constexpr (is_flat<Row>()) {
      std::vector<std::int64_t> numbers(rows.size());
      std::size_t next = 0;
      Fields<Row>::each([&](const char* name, auto member) {
        for (std::size_t i = 0; i < rows.size(); ++i) numbers[i] = to_integer(rows[i].*member);
        put_integers(column(columns_, next++, name, ColumnType::integer), numbers);
      });
    } else {
      for (const Row& row : rows) add(row);
    }
  }
  [[nodiscard]] std::string finish() const { return serialize(columns_, strings_); }

 private:
  template <class Row>
  void add_fields(ColumnSet& set, const Row& row) {
    std::size_t next = 0;
    Fields<Row>::each([&](const char* name, auto member) {
      using T = std::remove_cvref_t<decltype(row.*member)>;
      add_value(column(set, next++, name, column_type<T>()), row.*member);
    });
  }

  static Column& column(ColumnSet& set, std::size_t i, const char* name, ColumnType type) {
    if (i == set.size()) {
      set.emplace_back();
      set.back().name = name;
      set.back().type = type;
    }
    return set[i];
  }

  template <class T>
  void add_value(Column& c, const T& value) {
    constexpr ColumnType type = column_type<T>();
    if constexpr (type == ColumnType::real) {
      put_real(c, value);
    } else if constexpr (type == ColumnType::string) {
      put_integer(c, strings_.add(value));
    } else if constexpr (type == ColumnType::row) {
      add_fields(c.children, value);
    } else if constexpr (type == ColumnType::list) {
      put_integer(c, static_cast<std::int64_t>(value.size()));
      using Item = typename T::value_type;
      for (const Item& item : value) {
        if constexpr (RowType<Item>) {
          add_fields(c.children, item);
        } else {
          add_value(column(c.children, 0, "", column_type<Item>()), item);
        }
      }
    } else {
      put_integer(c, to_integer(value));
    }
  }

  ColumnSet columns_;
  StringTable strings_;
};

/// Reads rows from the payload of a block.
class ColumnReader {
 public:
  explicit ColumnReader(std::string_view payload) { parse(payload, root_.children, strings_); }

  template <class Row>
  void next(Row& row) {
    next_fields(root_, row);
  }

  /// The next rows. `rows` have their defaults.
  template <class Row>
  void all(std::span<Row> rows) {
    if constexpr (is_flat<Row>()) {
      // In parts that stay in the first cache while column after column is put into them.
      std::array<std::int64_t, 512> numbers;
      for (std::size_t begin = 0; begin < rows.size(); begin += numbers.size()) {
        next_part(rows.subspan(begin, std::min(numbers.size(), rows.size() - begin)), numbers);
      }
    } else {
      for (Row& row : rows) next(row);
    }
  }

  /// After the last row: throws InputError when a known column has bytes left.
  void finish() const { check_consumed(root_.children); }

 private:
  template <class Row>
  void next_fields(Column& parent, Row& row) {
    std::size_t field = 0;
    Fields<Row>::each([&](const char* name, auto member) {
      using T = std::remove_cvref_t<decltype(row.*member)>;
      if (Column* c = find(parent, field++, name); c != nullptr) {
        if (c->type != column_type<T>()) wrong_type(name);
        next_value(*c, row.*member);
      }
    });
  }

  /// `numbers`: room for a number per row.
  template <class Row>
  void next_part(std::span<Row> rows, std::span<std::int64_t> numbers) {
    std::size_t field = 0;
    Fields<Row>::each([&](const char* name, auto member) {
      Column* c = find(root_, field++, name);
      if (c == nullptr) return;
      if (c->type != ColumnType::integer) wrong_type(name);
      take_integers(*c, numbers.first(rows.size()));
      for (std::size_t i = 0; i < rows.size(); ++i) put(*c, numbers[i], rows[i].*member);
    });
  }

  static Column* find(Column& parent, std::size_t field, const char* name);
  [[noreturn]] static void wrong_type(const std::string& name);
  static void check_length(Column& c, std::int64_t length);
  static void check_consumed(const ColumnSet& set);

  template <class T>
  void next_value(Column& c, T& value) {
    constexpr ColumnType type = column_type<T>();
    if constexpr (type == ColumnType::real) {
      value = take_real(c);
    } else if constexpr (type == ColumnType::string) {
      value = strings_.at(take_integer(c));
    } else if constexpr (type == ColumnType::row) {
      next_fields(c, value);
    } else if constexpr (type == ColumnType::list) {
      next_list(c, value);
    } else {
      put(c, take_integer(c), value);
    }
  }

  template <class T>
  static void put(const Column& c, std::int64_t number, T& value) {
    if constexpr (NamedEnum<T>) {
      if (number < 0 || number >= static_cast<std::int64_t>(EnumNames<T>::k_names.size())) {
        throw InputError(
            InputError::Parts{.place = c.name,
                              .expected = "a known " + std::string(EnumNames<T>::k_type),
                              .found = std::to_string(number)});
      }
      value = static_cast<T>(number);
    } else {
      from_integer(number, value);
    }
  }

  template <class T>
  void next_list(Column& c, std::vector<T>& list) {
    const std::int64_t length = take_integer(c);
    check_length(c, length);
    list.resize(static_cast<std::size_t>(length));
    for (T& item : list) {
      if constexpr (RowType<T>) {
        next_fields(c, item);
      } else {
        Column* items = find(c, 0, "");
        if (items == nullptr || items->type != column_type<T>()) wrong_type(c.name);
        next_value(*items, item);
      }
    }
  }

  Column root_;
  StringTable strings_;
};

}  // namespace tidemark
