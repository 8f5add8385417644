// Manual page and completion say what the option table says.
#include "sim/manual.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

struct Table {
  Table() {
    app.add_option("FILE", text, "a file. Or '-'");
    app.add_option("-o,--output", text, "where to write");
    verb = app.add_subcommand("show", "tell it");
    verb->add_flag("--json", flag, "for machines");
    verb->footer("Example: tool show x");
  }
  std::string text;
  bool flag = false;
  CLI::App app{"does it", "tool"};
  CLI::App* verb = nullptr;
};

}  // namespace

TEST_CASE("manual: every option and verb is on the page, hyphens can be typed") {
  const Table table;
  const std::string page = man_page(table.app);
  CHECK(page.starts_with(".TH TOOL 1\n.SH NAME\ntool \\- does it\n"));
  for (const char* part : {"\\-\\-output", "where to write", ".SH TOOL show", "\\-\\-json",
                           "for machines", "Example: tool show x", "FILE"}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
}

TEST_CASE("manual: no line of the texts can be taken for a request of roff") {
  Table table;
  table.verb->footer(".so evil\n'br\nback\\slash");
  const std::string page = man_page(table.app);
  CHECK(page.find("\n\\&.so evil\n\\&'br\nback\\eslash") != std::string::npos);
}

TEST_CASE("completion: options of the program and of each verb") {
  const Table table;
  const std::string text = bash_completion(table.app);
  CHECK(text.find("words=\"--help --output -h -o show\"") != std::string::npos);
  CHECK(text.find("show) words=\"--help --json -h\"") != std::string::npos);
  CHECK(text.find("complete -o default -F _tool tool") != std::string::npos);
}

TEST_CASE("manual: only --manual asks for it, with a form that is known") {
  const Table table;
  const auto ask = [&table](std::vector<const char*> words) {
    return asked_manual(table.app, static_cast<int>(words.size()), words.data());
  };
  CHECK_FALSE(ask({"tool"}));
  CHECK_FALSE(ask({"tool", "show"}));
  CHECK(ask({"tool", "--manual", "man"}) == man_page(table.app));
  CHECK(ask({"tool", "--manual", "bash"}) == bash_completion(table.app));
  CHECK_THROWS_WITH(ask({"tool", "--manual"}), Catch::Contains("man or bash"));
  CHECK_THROWS_AS(ask({"tool", "--manual", "pdf"}), InputError);
}
