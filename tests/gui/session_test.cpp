#include "gui/session.h"

#include <unistd.h>

#include <filesystem>

#include "gui/view_history.h"
#include "tests/catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

Session session_of(const std::string& file) {
  return {.files = {file, "/runs/planned.tmk"},
          .axis = Axis::change,
          .one_step = true,
          .every_step = true,
          .group_by = StackBy::module,
          .filter = {{StackBy::layer, "h.0"}, {StackBy::phase, "backward"}},
          .range = {10, 500},
          .budget_bytes = 1 << 20,
          .bookmarks = {{3, "a \"peak\""}, {9, "b"}},
          .theme = "dark",
          .layout = "AAAA=="};
}

}  // namespace

TEST_CASE("sessions come back as they were") {
  const std::vector<Session> sessions = {session_of("/a.tmk"), session_of("/b.tmk")};
  CHECK(sessions_from_json(sessions_to_json(sessions)) == sessions);
  CHECK(sessions_from_json(sessions_to_json({})).empty());
}

TEST_CASE("what is no list of sessions is refused") {
  for (const char* bad :
       {"", "{", "[]", "{}", R"({"version": 2, "sessions": []})",
        R"({"version": 1, "sessions": [{}]})", R"({"version": 1, "sessions": 7})"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(sessions_from_json(bad), InputError);
  }
  std::vector<Session> empty = {session_of("/a.tmk")};
  empty[0].range = {5, 5};
  CHECK_THROWS_AS(sessions_from_json(sessions_to_json(empty)), InputError);
}

TEST_CASE("the last used session comes first, one for each file, and there are not too many") {
  std::vector<Session> sessions;
  for (int i = 0; i < 25; ++i) {
    sessions = with_session(sessions, session_of("/" + std::to_string(i)));
  }
  REQUIRE(sessions.size() == k_most_sessions);
  CHECK(sessions.front().files.front() == "/24");
  sessions = with_session(sessions, session_of("/20"));
  CHECK(sessions.size() == k_most_sessions);
  CHECK(sessions.front().files.front() == "/20");
  CHECK(sessions[1].files.front() == "/24");
}

TEST_CASE("a damaged file of sessions is as good as none") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("session." + std::to_string(::getpid()));
  const std::string path = (folder / "deep" / "sessions.json").string();
  CHECK(load_sessions(path).empty());
  REQUIRE(save_session(path, session_of("/a.tmk")));
  REQUIRE(save_session(path, session_of("/b.tmk")));
  CHECK(load_sessions(path) == std::vector<Session>{session_of("/b.tmk"), session_of("/a.tmk")});
  write_file(path, "damaged");
  CHECK(load_sessions(path).empty());
  REQUIRE(save_session(path, session_of("/c.tmk")));
  CHECK(load_sessions(path).size() == 1);
  CHECK_FALSE(save_session("/dev/null/x/sessions.json", session_of("/c.tmk")));
  fs::remove_all(folder);
}

TEST_CASE("the history of views goes back and forward, and a new view ends the way forward") {
  ViewHistory history;
  CHECK_FALSE(history.step(false).has_value());
  const auto place = [](std::int64_t begin) { return ViewPlace{.range = {begin, begin + 10}}; };
  for (const std::int64_t begin : {0, 1, 2, 2}) history.visit(place(begin));
  CHECK(history.step(false) == place(1));
  CHECK(history.step(false) == place(0));
  CHECK_FALSE(history.step(false).has_value());
  CHECK(history.step(true) == place(1));
  history.visit(place(7));
  CHECK_FALSE(history.step(true).has_value());
  CHECK(history.step(false) == place(1));
  for (std::int64_t i = 0; i < 500; ++i) history.visit(place(100 + i));
  std::size_t back = 0;
  while (history.step(false)) ++back;
  CHECK(back + 1 == ViewHistory::k_most_places);
}
