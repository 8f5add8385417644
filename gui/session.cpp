#include "gui/session.h"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int k_version = 1;

Json to_json(const Session& s) {
  Json bookmarks = Json::array();
  for (const Bookmark& mark : s.bookmarks) {
    bookmarks.push_back({{"change", mark.change}, {"name", mark.name}});
  }
  Json filter = Json::array();
  for (const FilterTerm& term : s.filter) {
    filter.push_back({{"by", to_string(term.by)}, {"name", term.name}});
  }
  return {{"files", s.files},
          {"axis", s.axis == Axis::time ? "time" : "events"},
          {"one_step", s.one_step},
          {"every_step", s.every_step},
          {"group_by", to_string(s.group_by)},
          {"filter", std::move(filter)},
          {"begin", s.range.begin},
          {"end", s.range.end},
          {"budget_bytes", s.budget_bytes},
          {"bookmarks", std::move(bookmarks)},
          {"theme", s.theme},
          {"layout", s.layout}};
}

Session from_json(const Json& json) {
  Session s;
  s.files = json.at("files").get<std::vector<std::string>>();
  s.axis = json.at("axis") == "events" ? Axis::change : Axis::time;
  s.one_step = json.at("one_step").get<bool>();
  s.group_by = group_by_of(json.at("group_by").get<std::string>()).value_or(StackBy::category);
  s.every_step = json.value("every_step", false);  // older sessions have neither
  if (json.contains("filter")) {
    for (const Json& term : json.at("filter")) {
      const auto by = group_by_of(term.at("by").get<std::string>());
      if (by) s.filter.push_back({.by = *by, .name = term.at("name").get<std::string>()});
    }
  }
  s.range = {json.at("begin").get<std::int64_t>(), json.at("end").get<std::int64_t>()};
  s.budget_bytes = json.at("budget_bytes").get<std::int64_t>();
  for (const Json& mark : json.at("bookmarks")) {
    s.bookmarks.push_back(
        {mark.at("change").get<std::int64_t>(), mark.at("name").get<std::string>()});
  }
  s.theme = json.at("theme").get<std::string>();
  s.layout = json.at("layout").get<std::string>();
  return s;
}

[[noreturn]] void refuse(const std::string& found) {
  throw InputError(
      {.file = "", .place = "sessions", .expected = "sessions of this program", .found = found});
}

}  // namespace

std::string sessions_to_json(const std::vector<Session>& sessions) {
  Json all = Json::array();
  for (const Session& session : sessions) all.push_back(to_json(session));
  const Json json = {{"version", k_version}, {"sessions", std::move(all)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<Session> sessions_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != k_version) refuse("another version");
    std::vector<Session> sessions;
    for (const Json& one : json.at("sessions")) {
      Session session = from_json(one);
      if (session.files.empty() || session.range.span() <= 0) refuse("a session without a view");
      const bool known = session.theme.empty() || session.theme == "light" ||
                         session.theme == "dark" || session.theme == "contrast";
      if (!known) refuse("theme " + session.theme);
      sessions.push_back(std::move(session));
    }
    return sessions;
  } catch (const Json::exception& error) {
    refuse(error.what());
  }
}

std::vector<Session> with_session(std::vector<Session> sessions, Session session) {
  std::erase_if(sessions, [&session](const Session& old) {
    return old.files.front() == session.files.front();
  });
  sessions.insert(sessions.begin(), std::move(session));
  if (sessions.size() > k_most_sessions) sessions.resize(k_most_sessions);
  return sessions;
}

std::string sessions_path() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  if (const std::string state = set("XDG_STATE_HOME"); !state.empty()) {
    return state + "/tidemark/sessions.json";
  }
  if (const std::string home = set("HOME"); !home.empty()) {
    return home + "/.local/state/tidemark/sessions.json";
  }
  return {};
}

std::vector<Session> load_sessions(const std::string& path) {
  std::error_code none;
  if (path.empty() || !fs::is_regular_file(path, none)) return {};
  try {
    return sessions_from_json(read_file(path));
  } catch (const InputError&) {
    return {};
  }
}

bool save_session(const std::string& path, Session session) {
  if (path.empty() || session.files.empty()) return false;
  try {
    std::error_code none;
    fs::create_directories(fs::path(path).parent_path(), none);
    write_file(path, sessions_to_json(with_session(load_sessions(path), std::move(session))));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace tidemark
