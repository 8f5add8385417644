#include "gui/view_index.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gui/run.h"
#include "traces/error.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_alignment = 64;
constexpr std::uint32_t k_version = 1;

struct Header {
  std::array<char, 8> magic = {'T', 'M', 'K', 'V', 'I', 'E', 'W', '\n'};
  std::uint32_t version = k_version;
  std::uint32_t section_count = 0;
  std::uint64_t layout = 0;  // sizes of the stored rows
  std::uint64_t fingerprint = 0;
  std::uint64_t hash = 0;  // XXH3 of all that follows
};

struct StoredPeak {
  std::int64_t bytes = 0;
  std::int64_t time_ns = 0;
  std::int64_t change = -1;
  CategoryBytes by_category{};
};

struct Facts {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t step_ns = 0;
  std::int64_t event_count = 0;
  std::int64_t level_count = 0;  // of the pyramid
  std::array<StoredPeak, 3> peaks;
};

/// A program with other rows does not read the file.
constexpr std::uint64_t layout() {
  std::uint64_t mixed = 17;
  for (const std::size_t size : {sizeof(Facts), sizeof(OpSpan), sizeof(Extremes), sizeof(BandBytes),
                                 sizeof(Event), sizeof(LevelPoint), sizeof(BufferId),
                                 sizeof(ChangeColumns::StepMark), sizeof(std::size_t)}) {
    mixed = mixed * 1000003 + size;
  }
  return mixed;
}

/// Sections in a fixed order: first the facts, last the levels, whose number they tell.
enum Section : std::size_t {
  facts,
  time_ns,
  buffer_kind,
  op,
  steps,
  spans,
  step_begin_ns,
  owners,  // and the two after it: of the three peaks
  reserved = owners + 3,
  host,
  kept,
  alloc,
  key_frames,
  levels,  // of the pyramid, then those of the lifetimes
};

template <class T>
std::span<const T> rows_of(std::string_view section) {
  return {reinterpret_cast<const T*>(section.data()), section.size() / sizeof(T)};
}

template <class T>
std::vector<T> copied(std::string_view section) {
  const auto rows = rows_of<T>(section);
  return {rows.begin(), rows.end()};
}

template <class Rows>
std::string_view bytes_of(const Rows& rows) {
  const auto* data = rows.size() == 0 ? nullptr : &*rows.begin();
  return {reinterpret_cast<const char*>(data), rows.size() * sizeof(*data)};
}

StoredPeak stored(const Peak& peak) {
  return {peak.bytes, peak.time_ns, peak.change, peak.by_category};
}

std::vector<std::string_view> sections_of(const Run& run, const std::span<const Facts>& one) {
  const RunTimeline& t = run.timeline();
  const ChangeColumns::Arrays& changes = t.changes.arrays();
  const Pyramid::Arrays& pyramid = run.pyramid().arrays();
  const AliveIndex::Arrays& alive = run.alive().arrays();
  std::vector<std::string_view> all = {bytes_of(one),
                                       bytes_of(changes.time_ns),
                                       bytes_of(changes.buffer_kind),
                                       bytes_of(changes.op),
                                       bytes_of(changes.steps),
                                       bytes_of(t.spans),
                                       bytes_of(t.step_begin_ns),
                                       bytes_of(t.peak.owners),
                                       bytes_of(t.run_peak.owners),
                                       bytes_of(t.eval_peak.owners),
                                       bytes_of(t.reserved),
                                       bytes_of(t.host),
                                       bytes_of(run.trace().events),
                                       bytes_of(alive.alloc),
                                       bytes_of(pyramid.key_frames)};
  for (const auto& level : *pyramid.levels) all.push_back(bytes_of(level));
  for (const auto& level : alive.latest_free) all.push_back(bytes_of(level));
  return all;
}

std::size_t padding_after(std::size_t size_bytes) {
  return (k_alignment - size_bytes % k_alignment) % k_alignment;
}

/// Calls put(bytes) for all that follows the header.
template <class Put>
void put_body(const std::vector<std::string_view>& sections, Put put) {
  static constexpr std::array<char, k_alignment> k_zeros{};
  std::vector<std::uint64_t> sizes;
  for (const std::string_view section : sections) sizes.push_back(section.size());
  const std::string_view table = bytes_of(sizes);
  put(table);
  put({k_zeros.data(), padding_after(sizeof(Header) + table.size())});
  for (const std::string_view section : sections) {
    put(section);
    put({k_zeros.data(), padding_after(section.size())});
  }
}

/// Where each section lies; empty when they do not fill the file.
std::vector<std::string_view> find_sections(std::string_view file, std::size_t count) {
  const std::size_t table_end = sizeof(Header) + count * sizeof(std::uint64_t);
  if (count > 1000 || file.size() < table_end) return {};
  std::vector<std::uint64_t> sizes(count);
  std::memcpy(sizes.data(), file.data() + sizeof(Header), count * sizeof(std::uint64_t));
  std::vector<std::string_view> sections;
  std::size_t at = table_end + padding_after(table_end);
  for (const std::uint64_t size : sizes) {
    if (at > file.size() || size > file.size() - at) return {};
    sections.push_back(file.substr(at, size));
    at += size + padding_after(size);
  }
  return at == file.size() ? sections : std::vector<std::string_view>{};
}

}  // namespace

std::shared_ptr<const ViewIndex> ViewIndex::open(const std::string& path,
                                                 std::uint64_t fingerprint) {
  std::error_code none;
  if (fingerprint == 0 || !fs::is_regular_file(path, none)) return nullptr;
  try {
    const std::shared_ptr<ViewIndex> index(new ViewIndex(path));
    const std::string_view file = index->file_.bytes();
    Header header;
    if (file.size() < sizeof header) return nullptr;
    std::memcpy(&header, file.data(), sizeof header);
    const std::string_view body = file.substr(sizeof header);
    const bool fits = header.magic == Header{}.magic && header.version == k_version &&
                      header.layout == layout() && header.fingerprint == fingerprint;
    if (!fits || header.hash != XXH3_64bits(body.data(), body.size())) return nullptr;
    index->sections_ = find_sections(file, header.section_count);
    if (index->sections_.size() <= levels) return nullptr;
    fs::last_write_time(path, fs::file_time_type::clock::now(), none);  // for the trimming
    return index;
  } catch (const InputError&) {
    return nullptr;
  }
}

RunTimeline ViewIndex::timeline(const Trace& trace, std::vector<Event>& kept_events) const {
  const Facts& f = rows_of<Facts>(sections_[facts]).front();
  RunTimeline t;
  t.space = {.kind = SpaceKind::device, .rank = trace.meta.rank};
  t.changes = ChangeColumns(
      trace, {.time_ns = FlatArray<std::int64_t>::over(rows_of<std::int64_t>(sections_[time_ns])),
              .buffer_kind =
                  FlatArray<std::uint32_t>::over(rows_of<std::uint32_t>(sections_[buffer_kind])),
              .op = FlatArray<std::int32_t>::over(rows_of<std::int32_t>(sections_[op])),
              .steps = FlatArray<ChangeColumns::StepMark>::over(
                  rows_of<ChangeColumns::StepMark>(sections_[steps]))});
  t.spans = copied<OpSpan>(sections_[spans]);
  t.step_begin_ns = copied<std::int64_t>(sections_[step_begin_ns]);
  t.begin_ns = f.begin_ns;
  t.end_ns = f.end_ns;
  t.step_ns = f.step_ns;
  t.event_count = f.event_count;
  const std::array<Peak*, 3> peaks = {&t.peak, &t.run_peak, &t.eval_peak};
  for (std::size_t i = 0; i < peaks.size(); ++i) {
    const StoredPeak& s = f.peaks[i];
    *peaks[i] = {s.bytes, s.time_ns, s.change, s.by_category,
                 copied<BufferId>(sections_[owners + i])};
  }
  t.reserved = copied<LevelPoint>(sections_[reserved]);
  t.host = copied<LevelPoint>(sections_[host]);
  kept_events = copied<Event>(sections_[kept]);
  return t;
}

Pyramid::Arrays ViewIndex::pyramid() const {
  auto all = std::make_shared<Pyramid::Levels>();
  const auto count = rows_of<Facts>(sections_[facts]).front().level_count;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string_view section = sections_[levels + static_cast<std::size_t>(i)];
    all->push_back(FlatArray<Extremes>::over(rows_of<Extremes>(section)));
  }
  return {.levels = std::move(all),
          .key_frames = FlatArray<BandBytes>::over(rows_of<BandBytes>(sections_[key_frames]))};
}

AliveIndex::Arrays ViewIndex::alive() const {
  using Rows = FlatArray<AliveIndex::ChangeRow>;
  const auto rows = [](std::string_view s) { return rows_of<AliveIndex::ChangeRow>(s); };
  AliveIndex::Arrays arrays{.alloc = Rows::over(rows(sections_[alloc])), .latest_free = {}};
  const auto count = rows_of<Facts>(sections_[facts]).front().level_count;
  for (auto i = levels + static_cast<std::size_t>(count); i < sections_.size(); ++i) {
    arrays.latest_free.push_back(Rows::over(rows(sections_[i])));
  }
  return arrays;
}

bool store_view_index(const Run& run, std::uint64_t fingerprint, const std::string& path) {
  const RunTimeline& t = run.timeline();
  const Facts one{.begin_ns = t.begin_ns,
                  .end_ns = t.end_ns,
                  .step_ns = t.step_ns,
                  .event_count = t.event_count,
                  .level_count = static_cast<std::int64_t>(run.pyramid().arrays().levels->size()),
                  .peaks = {stored(t.peak), stored(t.run_peak), stored(t.eval_peak)}};
  const auto sections = sections_of(run, {&one, 1});
  Header header{.section_count = static_cast<std::uint32_t>(sections.size()),
                .layout = layout(),
                .fingerprint = fingerprint};
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(),
                                                                      &XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  put_body(sections, [&hash](std::string_view bytes) {
    XXH3_64bits_update(hash.get(), bytes.data(), bytes.size());
  });
  header.hash = XXH3_64bits_digest(hash.get());
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  const std::string beside = fmt::format("{}.{}.tmp", path, ::getpid());
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    const auto put = [&out](std::string_view bytes) {
      out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    };
    put({reinterpret_cast<const char*>(&header), sizeof header});
    put_body(sections, put);
    out.close();
    if (!out.fail()) fs::rename(beside, path, error);
    if (!out.fail() && !error) return true;
  }
  fs::remove(beside, error);
  return false;
}

std::string view_index_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/tidemark";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::string(home) + "/.cache/tidemark";
  }
  return {};
}

std::string view_index_path(const std::string& folder, std::uint64_t fingerprint) {
  return fmt::format("{}/{:016x}.view", folder, fingerprint);
}

void trim_view_indices(const std::string& folder, std::int64_t limit_bytes) {
  struct Stored {
    fs::path path;
    fs::file_time_type used;
    std::int64_t size_bytes;
  };
  std::vector<Stored> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".view") continue;
    all.push_back({entry.path(), entry.last_write_time(error),
                   static_cast<std::int64_t>(entry.file_size(error))});
  }
  std::sort(all.begin(), all.end(), [](const Stored& a, const Stored& b) {
    return a.used != b.used ? a.used > b.used : a.path < b.path;
  });
  std::int64_t total_bytes = 0;
  for (const Stored& index : all) {
    total_bytes += index.size_bytes;
    if (total_bytes > limit_bytes) fs::remove(index.path, error);
  }
}

}  // namespace tidemark
