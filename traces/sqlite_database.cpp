#include "traces/sqlite_database.h"

#include <sqlite3.h>

#include <cstring>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr int k_instructions_per_call =
    1000;  // of SQLite's machine, between two looks at the bound
constexpr std::int64_t k_instructions_per_byte = 1000;
constexpr std::int64_t k_instructions_at_least = std::int64_t{1} << 24;

[[noreturn]] void damaged(sqlite3* database) {
  throw InputError(
      InputError::Parts{.place = "SQLite",
                        .expected = "a whole database",
                        .found = database == nullptr ? "no memory" : sqlite3_errmsg(database)});
}

sqlite3* opened() {
  sqlite3* database = nullptr;
  const int state =
      sqlite3_open_v2(":memory:", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (state != SQLITE_OK) {
    sqlite3_close_v2(database);
    throw InputError("SQLite: cannot open a database in memory");
  }
  return database;
}

/// SQLITE_TRANSIENT without its cast: SQLite makes a copy of the text.
sqlite3_destructor_type copied() {
  return reinterpret_cast<sqlite3_destructor_type>(std::intptr_t{-1});
}

/// Asked by SQLite from time to time: not 0 stops the statement.
int count_down(void* left) {
  auto* steps = static_cast<std::int64_t*>(left);
  return --*steps < 0 ? 1 : 0;
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteDatabase::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

SqliteStatement::SqliteStatement(sqlite3* database, const std::string& sql) : database_(database) {
  sqlite3_stmt* statement = nullptr;
  const int state =
      sqlite3_prepare_v2(database, sql.c_str(), static_cast<int>(sql.size()), &statement, nullptr);
  statement_.reset(statement);
  if (state != SQLITE_OK) damaged(database);
}

bool SqliteStatement::step() {
  const int state = sqlite3_step(statement_.get());
  if (state == SQLITE_ROW) return true;
  if (state != SQLITE_DONE) damaged(database_);
  return false;
}

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

bool SqliteStatement::is_integer(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

SqliteStatement& SqliteStatement::bind(int parameter, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), parameter + 1, value) != SQLITE_OK) damaged(database_);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int parameter, std::string_view value) {
  if (sqlite3_bind_text(statement_.get(), parameter + 1, value.data(),
                        static_cast<int>(value.size()), copied()) != SQLITE_OK) {
    damaged(database_);
  }
  return *this;
}

SqliteStatement& SqliteStatement::clear() {
  sqlite3_clear_bindings(statement_.get());
  return *this;
}

void SqliteStatement::run() {
  while (step()) {
  }
  sqlite3_reset(statement_.get());
}

SqliteDatabase::SqliteDatabase() : database_(opened()) {}

SqliteDatabase::SqliteDatabase(const std::string& bytes) : database_(opened()) {
  sqlite3* database = database_.get();
  auto* copy = static_cast<unsigned char*>(sqlite3_malloc64(bytes.size() + 1));
  if (copy == nullptr) damaged(nullptr);
  std::memcpy(copy, bytes.data(), bytes.size());
  const auto size = static_cast<sqlite3_int64>(bytes.size());
  if (sqlite3_deserialize(database, "main", copy, size, size,
                          SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) !=
      SQLITE_OK) {
    damaged(database);
  }
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  *steps_left_ =
      (k_instructions_at_least + size * k_instructions_per_byte) / k_instructions_per_call;
  sqlite3_progress_handler(database, k_instructions_per_call, &count_down, steps_left_.get());
  run("PRAGMA cell_size_check = ON");
  run("PRAGMA temp_store = MEMORY");
}

SqliteStatement SqliteDatabase::prepare(const std::string& sql) const {
  return {database_.get(), sql};
}

void SqliteDatabase::run(const std::string& sql) {
  prepare(sql).run();
}

bool SqliteDatabase::has_table(const std::string& name) const {
  SqliteStatement s = prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?");
  return s.bind(0, name).step();
}

std::vector<std::string> SqliteDatabase::columns(const std::string& table) const {
  SqliteStatement s = prepare("SELECT name FROM pragma_table_info(?)");
  s.bind(0, table);
  std::vector<std::string> out;
  while (s.step()) out.push_back(s.text(0));
  return out;
}

std::string SqliteDatabase::bytes() const {
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, decltype(&sqlite3_free)> content(
      sqlite3_serialize(database_.get(), "main", &size, 0), &sqlite3_free);
  if (content == nullptr) damaged(nullptr);
  return {reinterpret_cast<const char*>(content.get()), static_cast<std::size_t>(size)};
}

}  // namespace tidemark
