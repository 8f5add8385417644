#include "traces/import_nsys.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <tuple>

#include "traces/call_scopes.h"
#include "traces/error.h"
#include "traces/foreign_recording.h"
#include "traces/range_name.h"

namespace tidemark {
namespace {

constexpr const char* k_memory_table = "CUDA_GPU_MEMORY_USAGE_EVENTS";
constexpr const char* k_call_table = "CUPTI_ACTIVITY_KIND_RUNTIME";
constexpr const char* k_range_table = "NVTX_EVENTS";
constexpr std::int64_t k_largest_bytes = std::int64_t{1} << 56;
constexpr std::int64_t k_latest_ns = std::int64_t{1} << 61;
constexpr std::int64_t k_thread_ids = std::int64_t{1} << 24;  // globalTid = globalPid + thread
constexpr std::int64_t k_push_pop_range = 59;  // of NVTX_EVENTS.eventType, where no table names it

bool has_word(std::string text, std::string_view word) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text.find(word) != std::string::npos;
}

/// Rows of one table by the columns that are wanted; a column that is absent is NULL.
class TableRows {
 public:
  TableRows(const SqliteDatabase& database, std::string table,
            std::initializer_list<const char*> wanted, const std::string& order = "")
      : table_(std::move(table)),
        there_(database.columns(table_)),
        rows_(database.prepare(query(wanted, order))) {}

  bool next() {
    ++row_;
    return rows_.step();
  }
  [[nodiscard]] bool has(int column) const { return !rows_.is_null(column); }
  [[nodiscard]] std::int64_t integer_or(int column, std::int64_t fallback) const {
    return has(column) ? rows_.integer(column) : fallback;
  }
  [[nodiscard]] std::string text(int column) const { return rows_.text(column); }

  /// Throws InputError when it is absent or outside of [0, most].
  [[nodiscard]] std::int64_t required(int column, std::string_view name, std::int64_t most) const {
    const std::int64_t value = rows_.is_integer(column) ? rows_.integer(column) : -1;
    if (value >= 0 && value <= most) return value;
    throw InputError(
        InputError::Parts{.place = fmt::format("{}[{}]", table_, row_),
                          .expected = fmt::format("'{}' from 0 to {}", name, most),
                          .found = has(column) ? "'" + text(column).substr(0, 40) + "'" : "none"});
  }

 private:
  [[nodiscard]] std::string query(std::initializer_list<const char*> wanted,
                                  const std::string& order) const {
    std::string out;
    for (const std::string name : wanted) {
      const bool is_there = std::ranges::find(there_, name) != there_.end();
      out += (out.empty() ? "SELECT " : ", ") + (is_there ? "\"" + name + "\"" : "NULL");
    }
    return out + " FROM \"" + table_ + "\"" + order;
  }

  std::string table_;
  std::vector<std::string> there_;
  SqliteStatement rows_;
  std::int64_t row_ = -1;
};

/// "id" to "label" (or "name") of an enumeration's table; empty when the file has none.
std::map<std::int64_t, std::string> labels_of(const SqliteDatabase& database, const char* table) {
  std::map<std::int64_t, std::string> out;
  if (!database.has_table(table)) return out;
  TableRows rows(database, table, {"id", "label", "name"});
  while (rows.next()) out[rows.integer_or(0, -1)] = rows.has(1) ? rows.text(1) : rows.text(2);
  return out;
}

enum class MemoryOperation : std::uint8_t { unknown, alloc, free };

class NsysImport {
 public:
  explicit NsysImport(const SqliteDatabase& database)
      : database_(database),
        strings_(labels_of_strings()),
        kinds_(labels_of(database, "ENUM_CUDA_MEM_KIND")),
        operations_(labels_of(database, "ENUM_CUDA_DEV_MEM_EVENT_OPER")),
        copies_(labels_of(database, "ENUM_CUDA_MEMCPY_OPER")) {}

  ForeignRecording run() {
    recording_.allocator = "cuda driver";
    read_ranges();
    read_calls();
    read_memory();
    read_ops("CUPTI_ACTIVITY_KIND_KERNEL");
    read_ops("CUPTI_ACTIVITY_KIND_MEMCPY");
    read_ops("CUPTI_ACTIVITY_KIND_MEMSET");
    label_calls();
    const auto first = std::ranges::min_element(recording_.events, {}, &ForeignEvent::time_ns);
    if (first != recording_.events.end()) recording_.origin_ns = first->time_ns;
    return std::move(recording_);
  }

 private:
  struct Unlabelled {
    std::size_t event = 0;
    std::size_t events = 1;  // that get the label
    CallInstant instant{-1, 0};
    std::string name{};  // of an op, or of a variable; empty: that of the range
    std::optional<Category> category{};
  };

  [[nodiscard]] std::map<std::int64_t, std::string> labels_of_strings() const {
    std::map<std::int64_t, std::string> out;
    if (!database_.has_table("StringIds")) return out;
    TableRows rows(database_, "StringIds", {"id", "value"});
    while (rows.next()) out[rows.integer_or(0, -1)] = rows.text(1);
    return out;
  }

  [[nodiscard]] std::string string_of(std::int64_t id) const {
    const auto found = strings_.find(id);
    return found == strings_.end() ? std::string() : found->second;
  }

  [[nodiscard]] bool is_push_pop(std::int64_t type) {
    if (!database_.has_table("ENUM_NSYS_EVENT_TYPE")) return type == k_push_pop_range;
    if (event_types_.empty()) event_types_ = labels_of(database_, "ENUM_NSYS_EVENT_TYPE");
    const auto found = event_types_.find(type);
    return found == event_types_.end() ? type == k_push_pop_range : has_word(found->second, "push");
  }

  void read_ranges() {
    if (!database_.has_table(k_range_table)) return;
    TableRows rows(database_, k_range_table,
                   {"start", "end", "text", "textId", "globalTid", "eventType"});
    std::int64_t step_thread = -1;
    while (rows.next()) {
      if (!rows.has(1)) continue;  // a mark, or never closed
      if (rows.has(5) && !is_push_pop(rows.integer_or(5, 0))) continue;
      const std::int64_t begin_ns = rows.required(0, "start", k_latest_ns);
      const std::int64_t end_ns = rows.required(1, "end", k_latest_ns);
      if (end_ns < begin_ns) {
        ++recording_.health.dropped_events;
        continue;
      }
      const std::int64_t thread = rows.integer_or(4, 0);
      const std::string name = rows.has(2) ? rows.text(2) : string_of(rows.integer_or(3, -1));
      const std::int32_t step = std::max(step_of(name), profiler_step(name));
      if (step < 0) {
        ranges_.push_back({thread, begin_ns, end_ns, RangeKind::annotation, name});
      } else if (step_thread < 0 || step_thread == thread) {
        step_thread = thread;  // every thread of a team marks the same steps
        add_span(EventKind::step_begin, EventKind::step_end, begin_ns, end_ns);
        for (std::size_t i = recording_.events.size() - 2; i < recording_.events.size(); ++i) {
          recording_.events[i].step = step;
        }
      }
    }
  }

  void read_calls() {
    if (!database_.has_table(k_call_table)) return;
    TableRows rows(database_, k_call_table, {"start", "globalTid", "correlationId"});
    while (rows.next()) {
      const std::int64_t thread = rows.integer_or(1, 0);
      const std::int64_t time_ns = rows.required(0, "start", k_latest_ns);
      calls_.try_emplace({process_of(thread), rows.integer_or(2, -1)},
                         CallInstant{thread, time_ns});
    }
  }

  static std::int64_t process_of(std::int64_t global_id) { return global_id & ~(k_thread_ids - 1); }

  ForeignEvent& add(EventKind kind, std::int64_t time_ns, std::int64_t order) {
    ForeignEvent& event = recording_.events.emplace_back();
    event.kind = kind;
    event.time_ns = time_ns;
    event.order = order;
    return event;
  }

  /// Ends before begins before allocations at one time; what has no length stays together.
  void add_span(EventKind begin, EventKind end, std::int64_t begin_ns, std::int64_t end_ns) {
    const bool is_empty = begin_ns == end_ns;
    add(begin, begin_ns, is_empty ? 0 : -1);
    add(end, end_ns, is_empty ? 0 : -2);
  }

  [[nodiscard]] MemoryOperation operation_of(std::int64_t id) const {
    const auto found = operations_.find(id);
    if (found == operations_.end()) {
      return id == 0   ? MemoryOperation::alloc
             : id == 1 ? MemoryOperation::free
                       : MemoryOperation::unknown;
    }
    if (has_word(found->second, "dealloc") || has_word(found->second, "free")) {
      return MemoryOperation::free;
    }
    return has_word(found->second, "alloc") ? MemoryOperation::alloc : MemoryOperation::unknown;
  }

  /// "Device", "Pinned", ...; the names of the numbers where the file has none (2021.5).
  [[nodiscard]] std::string kind_of(std::int64_t id) const {
    static constexpr const char* k_names[] = {"Pageable", "Pinned",        "Device",        "Array",
                                              "Managed",  "Device Static", "Managed Static"};
    const auto found = kinds_.find(id);
    if (found != kinds_.end()) return found->second;
    return id >= 0 && id < std::ssize(k_names) ? k_names[id] : "Unknown";
  }

  void read_memory() {
    TableRows rows(database_, k_memory_table,
                   {"start", "bytes", "address", "memoryOperationType", "deviceId", "memKind",
                    "globalPid", "correlationId", "name"},
                   " ORDER BY rowid");
    while (rows.next()) {
      const MemoryOperation operation = operation_of(rows.integer_or(3, -1));
      if (operation == MemoryOperation::unknown) {
        ++recording_.health.dropped_events;
        continue;
      }
      const std::int64_t bytes = rows.required(1, "bytes", k_largest_bytes);
      if (bytes == 0) continue;
      const bool is_alloc = operation == MemoryOperation::alloc;
      const std::int64_t time_ns = rows.required(0, "start", k_latest_ns);
      const std::int64_t process = rows.integer_or(6, 0);
      ForeignEvent& event = add(is_alloc ? EventKind::alloc : EventKind::free, time_ns,
                                static_cast<std::int64_t>(recording_.events.size()));
      event.size_bytes = bytes;
      event.address = address_of(rows, process);
      event.device = std::clamp<std::int64_t>(rows.integer_or(4, 0), 0, 1023);
      const std::string kind = kind_of(rows.integer_or(5, 2));
      event.space = has_word(kind, "pageable") ? SpaceKind::host_pageable
                    : has_word(kind, "pinned") ? SpaceKind::host_pinned
                                               : SpaceKind::device;
      Unlabelled u{.event = recording_.events.size() - 1, .name = rows.text(8)};
      u.category = has_word(kind, "static") ? Category::framework : Category::unknown;
      u.instant = instant_of(process, rows.integer_or(7, -1));
      unlabelled_.push_back(std::move(u));
    }
  }

  /// Addresses of other processes than the first are set apart: they may be the same.
  std::uint64_t address_of(const TableRows& rows, std::int64_t process) {
    constexpr int k_address_bits = 56;  // of a process
    const auto [entry, is_new] = processes_.try_emplace(process, processes_.size());
    const auto address = static_cast<std::uint64_t>(
        rows.required(2, "address", (std::int64_t{1} << k_address_bits) - 1));
    return address | static_cast<std::uint64_t>(entry->second) << k_address_bits;
  }

  [[nodiscard]] CallInstant instant_of(std::int64_t process, std::int64_t correlation) const {
    const auto call = calls_.find({process, correlation});
    return call == calls_.end() ? CallInstant{-1, 0} : call->second;
  }

  void read_ops(const std::string& table) {
    if (!database_.has_table(table)) return;
    TableRows rows(database_, table,
                   {"start", "end", "deviceId", "streamId", "globalPid", "correlationId",
                    "shortName", "copyKind"});
    while (rows.next()) {
      const std::int64_t begin_ns = rows.required(0, "start", k_latest_ns);
      const std::int64_t end_ns = std::max(begin_ns, rows.required(1, "end", k_latest_ns));
      add_span(EventKind::op_begin, EventKind::op_end, begin_ns, end_ns);
      Unlabelled u{.event = recording_.events.size() - 2, .events = 2};
      for (std::size_t i = u.event; i < u.event + 2; ++i) {
        recording_.events[i].device = std::clamp<std::int64_t>(rows.integer_or(2, 0), 0, 1023);
        recording_.events[i].stream = rows.integer_or(3, 0);
      }
      u.name = rows.has(6) ? string_of(rows.integer_or(6, -1)) : "memset";
      if (rows.has(7)) {
        const auto copy = copies_.find(rows.integer_or(7, -1));
        u.name = copy == copies_.end() ? "memcpy" : "memcpy " + copy->second;
      }
      if (u.name.empty()) u.name = "kernel";
      u.instant = instant_of(process_of(rows.integer_or(4, 0)), rows.integer_or(5, -1));
      unlabelled_.push_back(std::move(u));
    }
  }

  void label_calls() {
    std::vector<CallInstant> instants;
    for (const Unlabelled& u : unlabelled_) instants.push_back(u.instant);
    CallScopes scopes;
    const std::vector<std::uint32_t> rows = scopes.at(ranges_, instants);
    recording_.layers = scopes.layers();
    std::map<std::tuple<std::uint32_t, std::string, std::optional<Category>>, std::uint32_t> known;
    for (std::size_t i = 0; i < unlabelled_.size(); ++i) {
      const Unlabelled& u = unlabelled_[i];
      const auto [entry, is_new] =
          known.try_emplace({rows[i], u.name, u.category}, recording_.labels.size());
      if (is_new) {
        const CallScope& scope = scopes[rows[i]];
        const std::string& range = scope.name.empty() ? "allocation" : scope.name;
        recording_.labels.push_back({.name = u.name.empty() ? range : u.name,
                                     .layer = scope.layer,
                                     .phase = scope.phase,
                                     .category = u.category});
      }
      for (std::size_t k = 0; k < u.events; ++k) {
        recording_.events[u.event + k].label = entry->second;
      }
    }
  }

  const SqliteDatabase& database_;
  std::map<std::int64_t, std::string> strings_;
  std::map<std::int64_t, std::string> kinds_;
  std::map<std::int64_t, std::string> operations_;
  std::map<std::int64_t, std::string> copies_;
  std::map<std::int64_t, std::string> event_types_;
  ForeignRecording recording_;
  std::vector<CallRange> ranges_;
  std::map<std::pair<std::int64_t, std::int64_t>, CallInstant> calls_;  // by process, correlation
  std::map<std::int64_t, std::size_t> processes_;
  std::vector<Unlabelled> unlabelled_;
};

}  // namespace

bool is_nsys(const SqliteDatabase& database) {
  for (const char* table : {k_memory_table, k_call_table, k_range_table, "StringIds"}) {
    if (database.has_table(table)) return true;
  }
  return false;
}

std::vector<ImportedDevice> import_nsys(const SqliteDatabase& database, const std::string& title) {
  if (!database.has_table(k_memory_table)) {
    throw InputError(InputError::Parts{
        .place = "SQLite",
        .expected =
            fmt::format("a table {} (nsys profile --cuda-memory-usage=true)", k_memory_table),
        .found = "none"});
  }
  return traces_of(NsysImport(database).run(), title);
}

}  // namespace tidemark
