// Text inside a page.
#pragma once

#include <string>

namespace tidemark {

/// With the four characters that mean something in HTML and SVG replaced.
[[nodiscard]] std::string escaped(const std::string& text);

}  // namespace tidemark
