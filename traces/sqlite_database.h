// An SQLite database in memory: made from the bytes of a file, or new and given as bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace tidemark {

/// A prepared statement. Columns and parameters count from 0.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, const std::string& sql);

  /// To the next row; false behind the last one. Throws InputError when the database is damaged.
  bool step();
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] bool is_integer(int column) const;
  /// 0 for what is no number.
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;

  SqliteStatement& bind(int parameter, std::int64_t value);
  SqliteStatement& bind(int parameter, std::string_view value);
  /// All parameters are NULL again.
  SqliteStatement& clear();
  /// Runs a statement that gives no rows, and makes it ready for other parameters.
  void run();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDatabase {
 public:
  /// Empty.
  SqliteDatabase();
  /// Of a file's content, to be read only. Nothing in it is trusted: its schema calls no function
  /// with effects, and the work is bounded by its size. Throws InputError when it is no database.
  explicit SqliteDatabase(const std::string& bytes);

  [[nodiscard]] SqliteStatement prepare(const std::string& sql) const;
  void run(const std::string& sql);
  /// True for a table; views do not count.
  [[nodiscard]] bool has_table(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> columns(const std::string& table) const;
  /// The database as the content of a file.
  [[nodiscard]] std::string bytes() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<std::int64_t> steps_left_ = std::make_unique<std::int64_t>(0);
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace tidemark
