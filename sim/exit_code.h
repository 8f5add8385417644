// Exit codes of every program (README, "Exit codes").
#pragma once

namespace tidemark {

inline constexpr int k_exit_done = 0;
inline constexpr int k_exit_not_possible = 1;  // no plan fits, results differ, gate exceeded
inline constexpr int k_exit_bad_input = 2;
inline constexpr int k_exit_out_of_memory = 3;  // of the device
inline constexpr int k_exit_own_bug = 70;
inline constexpr int k_exit_cancelled = 130;

}  // namespace tidemark
