// Without QtSvg plots cannot be drawn.
#include "gui/print_page.h"
#include "traces/error.h"

namespace tidemark {

void print_page(const std::string&, const std::string&) {
  throw InputError("--print: this build has no QtSvg (qt6-svg-dev)");
}

}  // namespace tidemark
