// Shell as people write it for Megatron-LM.
#include "sim/megatron_words.h"

#include "../catch.h"

using namespace tidemark;

TEST_CASE("megatron words: variables, products, quotes, comments, lists") {
  MegatronWords w(
      "A=4 # --no 1\nB=$((A*2))\nARGS=\"\n --one $A \\\n  --two_words=${B} --flag\"\n"
      "LIST=(--three ${C:-9} --four 'x y' --five $((A*$B)) --six $UNKNOWN)\n"
      "run --seven 1 2 3 ${LIST[@]} prog.py --eight=\"a\"\n",
      "f.sh");
  CHECK(w.integer("one") == 4);
  CHECK(w.integer("two-words") == 8);
  CHECK(w.flag("flag"));
  CHECK(w.integer("three") == 9);
  CHECK(w.list("four") == std::vector<std::string>{"x", "y"});
  CHECK(w.integer("five") == 32);
  CHECK(w.text_or("six", "") == "$UNKNOWN");
  CHECK(w.list("seven") == std::vector<std::string>{"1", "2", "3"});
  CHECK(w.text_or("eight", "") == "a");
  CHECK_FALSE(w.has("no"));
  CHECK(w.problems().empty());
  CHECK(w.unread().empty());
}

TEST_CASE("megatron words: what cannot be read says where and what") {
  MegatronWords w("--a x\n--b\n--c 1.5\n", "f.sh");
  CHECK(w.integer_or("a", 3) == 3);
  CHECK(w.integer("b") == 0);
  CHECK(w.real_or("c", 0) == 1.5);
  CHECK(w.integer("d") == 0);
  CHECK(w.problems() ==
        std::vector<std::string>{"f.sh: line 1: --a: expected an integer, found 'x'",
                                 "f.sh: line 2: --b: expected an integer, found it",
                                 "f.sh: --d: expected an integer, found nothing"});
}
