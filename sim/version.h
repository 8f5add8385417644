// The name and version that every program prints and every trace carries.
#pragma once

namespace tidemark {

inline constexpr const char* k_tool = "tidemark 0.1.0";

}  // namespace tidemark
