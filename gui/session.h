// What somebody was looking at, as a value and as JSON: kept between starts of the window.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gui/view_state.h"

namespace tidemark {

struct Session {
  std::vector<std::string> files;  // the run, then what lies over it; full paths
  Axis axis = Axis::time;
  bool one_step = false;
  bool every_step = false;
  StackBy group_by = StackBy::category;
  Filter filter;
  ViewRange range;
  std::int64_t budget_bytes = -1;
  std::vector<Bookmark> bookmarks;
  std::string theme;   // "light", "dark", "contrast"; empty: that of the desktop
  std::string layout;  // of the docks, opaque
  bool operator==(const Session&) const = default;
};

/// At most this many, the last used first; one for each first file.
inline constexpr std::size_t k_most_sessions = 20;

[[nodiscard]] std::string sessions_to_json(const std::vector<Session>& sessions);
/// Throws InputError for anything that is not what sessions_to_json() writes.
[[nodiscard]] std::vector<Session> sessions_from_json(const std::string& text);

/// `session` comes first; an older one of the same first file is replaced.
[[nodiscard]] std::vector<Session> with_session(std::vector<Session> sessions, Session session);

/// $XDG_STATE_HOME/tidemark/sessions.json or ~/.local/state/tidemark/sessions.json; empty when
/// neither is known.
[[nodiscard]] std::string sessions_path();
/// Empty when there are none, or when the file is damaged: it is nothing that cannot be made again.
[[nodiscard]] std::vector<Session> load_sessions(const std::string& path);
/// Adds `session` to those of the file. False when it cannot be written.
bool save_session(const std::string& path, Session session);

}  // namespace tidemark
