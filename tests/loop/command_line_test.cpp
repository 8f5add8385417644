// `tidemark` as a user meets it: figures, formats, and what it says to wrong input.

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/loop/command.h"
#include "tests/paths.h"
#include "traces/file.h"

using Json = nlohmann::json;

using namespace tidemark_call;

TEST_CASE("bare tidemark shows the three jobs, every verb has help with an example") {
  const Folder folder;
  const Result bare = call(folder, "");
  CHECK(bare.code == 0);
  CHECK(bare.out.find("tidemark plan run.tmk") != std::string::npos);
  CHECK(call(folder, "--version").out.find("tidemark 0.") == 0);
  CHECK(call(folder, "help").out == bare.out);
  CHECK(call(folder, "help plan").out == call(folder, "plan --help").out);
  for (const char* verb :
       {"show", "plan", "diff", "estimate", "models", "devices", "methods", "profile"}) {
    const Result help = call(folder, std::string(verb) + " --help");
    INFO(verb);
    CHECK(help.code == 0);
    CHECK(help.out.find("Example") != std::string::npos);
  }
}

TEST_CASE("record, show, plan, execute, diff on the command line") {
  const Folder folder;
  record(folder);
  const Json shown = Json::parse(call(folder, "show run.tmk --json").out);
  const auto peak = shown["peak_bytes"].get<std::int64_t>();
  std::int64_t sum = 0;
  for (const auto& [category, bytes] : shown["by_category"].items())
    sum += bytes.get<std::int64_t>();
  CHECK(sum == peak);
  CHECK(shown["leaf_layer_bytes"].get<std::int64_t>() * 1000 >= peak * 999);
  CHECK(shown["complete"] == true);

  const Json plan =
      Json::parse(call(folder, "plan run.tmk --budget 60% -o planned.tmk --json").out);
  REQUIRE(plan["feasible"] == true);
  CHECK(plan["height_bytes"].get<std::int64_t>() <= peak * 60 / 100);
  CHECK(plan["step_ns"].get<std::int64_t>() >= plan["bound_step_ns"].get<std::int64_t>());
  CHECK_FALSE(plan["decisions"].empty());
  std::int64_t held = 0;
  for (const Json& b : plan["peak"]["buffers"]) held += b["bytes"].get<std::int64_t>();
  CHECK(held == plan["peak_bytes"].get<std::int64_t>());
  CHECK_FALSE(plan["peak"]["op"].get<std::string>().empty());

  const std::string height = plan["height_bytes"].dump();
  const Result executed = call(
      folder,
      "profile --schedule planned.tmk --steps 3 --quiet -o measured.tmk --device-memory " + height);
  INFO(executed.error);
  REQUIRE(executed.code == 0);
  const Json diff = Json::parse(call(folder, "diff planned.tmk measured.tmk --json").out);
  CHECK(diff["peak_error_bytes"] == 0);
  CHECK(diff["reserved_error_bytes"] == 0);
  CHECK(diff["bitwise_equal"] == true);
  CHECK(diff["step_time_error_pct"].is_number());

  const Result gate = call(folder, "diff planned.tmk run.tmk --gate peak+2%");
  CHECK(gate.code == 1);
  CHECK(call(folder, "diff run.tmk planned.tmk --gate peak+2%").code == 0);
  CHECK(call(folder, "diff run.tmk -- planned.tmk").code == 0);
}

TEST_CASE("a run that does not fit exits 3 and says what would help") {
  const Folder folder;
  const Result r =
      call(folder, "profile gpt2-tiny --steps 2 --quiet --device-memory 6MiB -o small.tmk");
  CHECK(r.code == 3);
  const std::string all = r.out + r.error;
  CHECK(all.find("activation") != std::string::npos);
  CHECK(all.find("largest hole") != std::string::npos);
  CHECK(all.find("tidemark plan ") != std::string::npos);
  const Result shown = call(folder, "show small.tmk --html small.html");
  CHECK(shown.out.find("ended OUT OF MEMORY") != std::string::npos);
  CHECK(shown.out.find("of one steady step") == std::string::npos);
  CHECK(tidemark::read_file(folder / "small.html").find("OUT OF MEMORY") != std::string::npos);
  // A share of the peak means that of the program, not of what fitted.
  record(folder);
  const Json of_small = Json::parse(call(folder, "plan small.tmk --budget 70% --json").out);
  const Json of_whole = Json::parse(call(folder, "plan run.tmk --budget 70% --json").out);
  CHECK(of_small["budget_bytes"] == of_whole["budget_bytes"]);
  const Result diff = call(folder, "diff run.tmk small.tmk --gate peak+2%");
  CHECK(diff.code == 1);
  CHECK(diff.error.find("not whole") != std::string::npos);
}

TEST_CASE("damage is said by every verb, and passes no gate") {
  const Folder folder;
  record(folder);
  const std::string whole = tidemark::read_file(folder / "run.tmk");
  write(folder / "cut.tmk", whole.substr(0, whole.size() * 9 / 10));
  write(folder / "bare.tmk", whole.substr(0, whole.size() / 5));
  for (const char* arguments :
       {"plan cut.tmk --budget 70% --nodes 1", "pack cut.tmk --nodes 0", "diff run.tmk cut.tmk"}) {
    const Result r = call(folder, arguments);
    INFO(arguments << "\n" << r.out << r.error);
    CHECK(r.error.find("cut.tmk: NOT COMPLETE: ") != std::string::npos);
  }
  CHECK(call(folder, "diff run.tmk cut.tmk --gate peak+2%").code == 1);
  const Result shown = call(folder, "show bare.tmk");
  CHECK(shown.out.find("peak      not known") != std::string::npos);
  const Result diff = call(folder, "diff run.tmk bare.tmk --gate peak+2%");
  CHECK(diff.code == 1);
  CHECK(diff.error.find("the peak is not known") != std::string::npos);
  CHECK(diff.out.find("-100") == std::string::npos);
  CHECK(Json::parse(call(folder, "diff run.tmk bare.tmk --json").out)["b"]["peak_bytes"] ==
        nullptr);
}

TEST_CASE("what cannot be printed is a failure") {
  const Folder folder;
  for (const char* arguments : {"", "devices", "--help", "profile --help"}) {
    const Result r = call(folder, std::string(arguments) + " >/dev/full");
    INFO(arguments);
    CHECK(r.code == 2);
    CHECK(r.error.find("tidemark: stdout: ") != std::string::npos);
  }
}

TEST_CASE("the way of a sweep does not matter") {
  const Folder folder;
  record(folder);
  Json up = Json::parse(call(folder, "plan run.tmk --sweep 7MiB..12MiB:3 --nodes 40 --json").out);
  const Json down =
      Json::parse(call(folder, "plan run.tmk --sweep 12MiB..7MiB:3 --nodes 40 --json").out);
  std::reverse(up["rows"].begin(), up["rows"].end());
  CHECK(up == down);
}

TEST_CASE("a trace that cannot be executed gets advice: what to checkpoint") {
  const Folder folder;
  const std::string sample = std::string(TIDEMARK_SOURCE_DIR) + "/traces/samples/gpt2-tiny.tmk";
  REQUIRE(call(folder, "export '" + sample + "' -o run.pickle --quiet").code == 0);
  REQUIRE(call(folder, "import run.pickle -o run.tmk --quiet").code == 0);
  for (const char* budget : {"", " --budget 90%"}) {
    const Result r = call(folder, std::string("plan run.tmk") + budget);
    CHECK(r.code == 0);
    CHECK(r.out.find("block0.attention") != std::string::npos);
    CHECK(r.out.find("modelled") != std::string::npos);
  }
  const Result r = call(folder, "plan run.tmk --budget 1MiB --json");
  CHECK(r.code == 1);
  const Json j = Json::parse(r.out);
  CHECK(j["feasible"] == false);
  CHECK(j["planned_peak_bytes"] < j["peak_bytes"]);
  CHECK(call(folder, "plan run.tmk --budget 100%").out.find("fits") != std::string::npos);
  require_refused(folder, "plan run.tmk --budget 60% -o x.tmk", "an executable trace (level 2)");
  require_refused(folder, "plan run.tmk --shard zero1", "an executable trace (level 2)");
  require_refused(folder, "plan run.tmk --budget 0%", "--budget");
}

TEST_CASE("an import of several devices leads on to one of them") {
  const Folder folder;
  const std::string snapshots = TIDEMARK_SOURCE_DIR "/tests/golden/snapshots/";
  const Result r = call(folder, "import '" + snapshots + "two_devices.pickle' -o two.tmk");
  INFO(r.out << r.error);
  REQUIRE(r.code == 0);
  CHECK(r.out.find("show two.rank0.tmk") != std::string::npos);
  CHECK(call(folder, "show two.rank0.tmk").out.find("of the recording") != std::string::npos);
  CHECK(call(folder, "diff two.tmk two.tmk").code == 0);  // rank by rank
  require_refused(folder, "pack two.tmk", "two.rank0.tmk");
  const Json ranks = Json::parse(call(folder, "show two.tmk --json").out);
  CHECK(ranks["ranks"].size() == 2);
  // What is said about the peak is the same, whoever says it.
  const Result json = call(folder, "import '" + snapshots + "warm.pickle' -o warm.tmk --json");
  const Json warm = Json::parse(json.out)["traces"][0];
  const Json shown = Json::parse(call(folder, "show warm.tmk --json").out);
  CHECK(warm["peak_bytes"] == shown["peak_bytes"]);
  CHECK(warm["peak_unknown_bytes"] == shown["by_category"]["unknown"]);
  const Json packed = Json::parse(call(folder, "pack warm.tmk --nodes 1000 --json").out);
  const auto steps_bytes =
      packed["bound_bytes"].get<std::int64_t>() - shown["run_peak_bytes"].get<std::int64_t>();
  CHECK(steps_bytes >= 0);  // sizes in whole steps of the alignment, for some 190 blocks at most
  CHECK(steps_bytes < 190 * 512);
  require_refused(folder, "import '" + snapshots + "warm.pickle' -o - --json", "--json");
}

TEST_CASE("an allocator that does not fit says so and is no saving") {
  const Folder folder;
  record(folder);
  const Result r = call(folder, "allocator run.tmk --device-memory 10MiB --model ideal,static");
  CHECK(r.code == 1);
  CHECK(r.out.find("static") != std::string::npos);
  CHECK(r.out.find("does not fit\n") != std::string::npos);
  CHECK(r.out.find("requests refused") != std::string::npos);
  CHECK(r.out.find(" %  ") == std::string::npos);
  const Json packed = Json::parse(call(folder, "pack run.tmk --json").out);
  const Json models = Json::parse(call(folder, "allocator run.tmk --model static --json").out);
  CHECK(models["models"][0]["peak_reserved_bytes"] == packed["height_bytes"]);
  const Result pack = call(folder, "pack run.tmk --capacity 5MiB");
  CHECK(pack.code == 1);
  CHECK((pack.out + pack.error).find("proven") == (pack.out + pack.error).rfind("proven"));
}

TEST_CASE("Ctrl-C ends a plan with the best so far, which can be executed, and exit code 130") {
  const Folder folder;
  record(folder);
  Result r;
  for (const char* seconds : {"1", "5", "25"}) {  // a busy machine needs longer for the first plan
    r = call(folder, std::string("plan run.tmk --budget 60% --allow recompute --nodes 1000000000 "
                                 "--json -o best.tmk & plan=$!; sleep ") +
                         seconds + "; kill -INT $plan; wait $plan");
    REQUIRE(r.code == 130);
    if (Json::parse(r.out)["feasible"] == true) break;
  }
  const Json plan = Json::parse(r.out);
  CHECK(plan["cancelled"] == true);
  CHECK(plan["reproducible"] == false);
  REQUIRE(plan["feasible"] == true);
  CHECK(call(folder,
             "profile --schedule best.tmk --steps 1 --quiet -o measured.tmk "
             "--device-memory " +
                 plan["height_bytes"].dump())
            .code == 0);
}

TEST_CASE("no plan fits: exit 1, a proof and the smallest budget") {
  const Folder folder;
  record(folder);
  const Result r = call(folder, "plan run.tmk --budget 1MiB -o none.tmk");
  CHECK(r.code == 1);
  CHECK(r.out.find("Proof") != std::string::npos);
  CHECK(r.out.find("tidemark plan run.tmk --budget ") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "none.tmk"));
}

TEST_CASE("plan: a time limit that is too short is no proof that nothing fits") {
  const Folder folder;
  record(folder);
  const std::string plan = "plan run.tmk --budget 60% --time-limit 0.000001 ";
  const Result r = call(folder, plan + "-o none.tmk");
  CHECK(r.code == 1);
  CHECK(r.out.find("ran out") != std::string::npos);
  CHECK(r.out.find("No plan fits") == std::string::npos);
  CHECK(r.out.find("tidemark plan run.tmk --budget ") != std::string::npos);
  const Json json = Json::parse(call(folder, plan + "--json").out);
  CHECK(json["ran_out_of_time"] == true);
  CHECK(json["proven_infeasible"] == false);
}

TEST_CASE("the page of a run is self-contained") {
  const Folder folder;
  record(folder);
  REQUIRE(call(folder, "show run.tmk --html page.html").code == 0);
  const std::string page = tidemark::read_file(folder / "page.html");
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);
}

TEST_CASE("wrong input: one clear line and exit code 2") {
  const Folder folder;
  record(folder);
  const std::string whole = tidemark::read_file(folder / "run.tmk");
  write(folder / "empty.tmk", "");
  write(folder / "noise.tmk", "this is not a trace");
  write(folder / "cut.tmk", whole.substr(0, 40));
  write(folder / "stub.tmk", whole.substr(0, 400));
  require_refused(folder, "show missing.tmk", "missing.tmk");
  require_refused(folder, "show .", "a directory");
  require_refused(folder, "show empty.tmk", "empty");
  require_refused(folder, "show noise.tmk", "a tidemark trace");
  require_refused(folder, "show stub.tmk", "nothing of use");
  require_refused(folder, "show run.tmk --by colour", "--by");
  require_refused(folder, "show run.tmk --at yesterday", "--at");
  require_refused(folder, "show run.tmk --at 99s", "ends at");
  require_refused(folder, "show run.tmk run.tmk --table --html t.html", "excludes");
  require_refused(folder, "show run.tmk --html run.tmk", "another file than the input");
  require_refused(folder, "show", "required");
  require_refused(folder, "show --nonsense", "unknown flag '--nonsense'");
  require_refused(folder, "plan --nonsense=3", "unknown flag '--nonsense=3'");
  require_refused(folder, "--nonsense", "unknown flag '--nonsense'");
  require_refused(folder, "shwo run.tmk", "expected a verb, found 'shwo'");
  require_refused(folder, "plan run.tmk", "--budget");
  require_refused(folder, "plan run.tmk --budget lots", "--budget");
  require_refused(folder, "plan run.tmk --budget -3MiB", "--budget");
  require_refused(folder, "plan run.tmk --budget 60%%", "--budget");
  require_refused(folder, "plan run.tmk --budget 60% -o run.tmk", "another file than the input");
  require_refused(folder, "plan run.tmk --budget 60% --time-limit -1", "a number above 0");
  require_refused(folder, "plan run.tmk --sweep 5MiB..9MiB:2 -o x.tmk", "excludes");
  require_refused(folder, "plan run.tmk --sweep 5MiB..9MiB:2 --budget 60%", "excludes");
  require_refused(folder, "plan run.tmk --budget 60% --method magic", "magic");
  require_refused(folder, "plan run.tmk --budget 60% --allow prayer", "--allow");
  require_refused(folder, "plan run.tmk --budget 60% -o /nowhere/x.tmk", "/nowhere/x.tmk");
  require_refused(folder, "plan cut.tmk --budget 60%", "cut.tmk");
  require_refused(folder, "profile mlp-tiny -o /nowhere/x.tmk", "no folder /nowhere");
  require_refused(folder, "profile mlp-tiny -o run.tmk/x.tmk", "not a folder");
  require_refused(folder, "profile --schedule run.tmk -o run.tmk", "another file than the input");
  require_refused(folder, "pack run.tmk -o run.tmk", "another file than the input");
  require_refused(folder, "diff run.tmk", "2");
  require_refused(folder, "diff run.tmk run.tmk --gate 3", "--gate");
  require_refused(folder, "estimate gpt5", "gpt2-124M");
  require_refused(folder, "estimate gpt2-124M --device h9000", "h100-80g");
  for (const char* batch : {"abc", "0", "-1", "1.5"}) {
    require_refused(folder, std::string("estimate gpt2-124M --batch ") + batch,
                    "expected a whole number from 1, found");
  }
  require_refused(folder, "estimate gpt2-124M --batch 999999999999", "--batch");
  require_refused(folder, "estimate gpt2-124M --seq 4096", "--seq");
  CHECK(tidemark::read_file(folder / "run.tmk") == whole);
}

TEST_CASE("a truncated trace is read as far as it goes, and show says so") {
  const Folder folder;
  record(folder);
  const std::string whole = tidemark::read_file(folder / "run.tmk");
  write(folder / "cut.tmk", whole.substr(0, whole.size() - 30));
  const Result r = call(folder, "show cut.tmk");
  CHECK(r.code == 0);
  CHECK(r.out.find("NOT COMPLETE") != std::string::npos);
}

TEST_CASE("an existing output is replaced only by a complete one") {
  const Folder folder;
  record(folder);
  write(folder / "kept.tmk", "old");
  CHECK(call(folder, "plan run.tmk --budget 1KiB -o kept.tmk").code == 1);
  CHECK(tidemark::read_file(folder / "kept.tmk") == "old");
}

TEST_CASE("estimate says whether a model fits a device, and writes a trace that can be planned") {
  const Folder folder;
  const Json large =
      Json::parse(call(folder, "estimate gpt2-1558M --batch 8 --device rtx4090-24g --json").out);
  CHECK(large["fits"] == false);
  const Result small =
      call(folder, "estimate gpt2-124M --batch 1 --seq 128 --device h100-80g -o dry.tmk --json");
  CHECK(small.code == 0);
  CHECK(Json::parse(small.out)["fits"] == true);
  const Result plan = call(folder, "plan dry.tmk --budget 90% --nodes 20 --json");
  INFO(plan.error);
  CHECK(plan.code <= 1);
  CHECK(Json::parse(plan.out).contains("feasible"));
  const Result shown = call(folder, "show dry.tmk");
  CHECK(shown.out.find("loss") == std::string::npos);
  CHECK(shown.out.find("modelled") != std::string::npos);
}

TEST_CASE("inference: recorded, shown, dry and estimated with the same bytes of cache") {
  const Folder folder;
  const std::string tokens = "gpt2-tiny --batch 2 --phase inference --prompt 20 --generate 12 ";
  const Result cpu = call(folder, "profile " + tokens + "--json -o cpu.tmk");
  INFO(cpu.error);
  REQUIRE(cpu.code == 0);
  CHECK(Json::parse(cpu.out)["tokens"][1].size() == 13);  // one by the prompt, one by each step
  CHECK(Json::parse(cpu.out)["texts"].size() == 2);
  REQUIRE(call(folder, "profile " + tokens + "--backend dry --quiet -o dry.tmk").code == 0);
  const Json shown = Json::parse(call(folder, "show cpu.tmk --json").out);
  const Json dry = Json::parse(call(folder, "show dry.tmk --json").out);
  const Json estimated = Json::parse(call(folder, "estimate " + tokens + "--json").out);
  // 2 x layers x batch x tokens x channels x 4 bytes; of one token of one sequence.
  for (const Json& figures : {shown, dry, estimated}) {
    CHECK(figures["cache_bytes"] == 2 * 4 * 2 * 32 * 64 * 4);
    CHECK(figures["cache_bytes_per_token"] == 2 * 4 * 64 * 4);
    CHECK(figures["by_category"]["kv_cache"] == 2 * 4 * 2 * 32 * 64 * 4);
    CHECK(figures["peak_bytes"] == shown["peak_bytes"]);
    CHECK(figures["run_peak_bytes"] == shown["run_peak_bytes"]);
  }
  CHECK(shown["steps"] == 12);
  CHECK(call(folder, "show cpu.tmk").out.find("per token of a sequence") != std::string::npos);
  const Result small = call(folder, "profile " + tokens + "--device-memory 1MiB -o none.tmk");
  CHECK(small.code == 3);
  const Result planned = call(folder, "plan cpu.tmk --budget 90% -o plan.tmk --json");
  INFO(planned.error);
  CHECK(planned.code <= 1);
}

TEST_CASE("inference and evaluation: flags that make no sense are refused") {
  const Folder folder;
  const std::string infer = "profile gpt2-tiny --phase inference ";
  require_refused(folder, infer, "--prompt");
  require_refused(folder, infer + "--prompt 4", "--generate");
  require_refused(folder, infer + "--prompt 0 --generate 4", "--prompt");
  require_refused(folder, infer + "--prompt 60 --generate 5", "--prompt + --generate");
  for (const char* flag : {"--seq 8", "--steps 2", "--lr 0.1", "--dropout 0.1", "--eval-every 2"}) {
    require_refused(folder, infer + "--prompt 4 --generate 4 " + flag, "exclude");
  }
  require_refused(folder, "profile gpt2-tiny --prompt 4", "exclude");
  require_refused(folder, "profile gpt2-tiny --phase dreaming", "training, inference");
  require_refused(folder, "profile mlp-tiny --phase inference --prompt 4 --generate 4", "gpt2");
  require_refused(folder, "estimate gpt2-tiny --phase inference", "--prompt");
  require_refused(folder, "estimate gpt2-tiny --generate 4", "--phase");
  require_refused(folder, "estimate gpt2-tiny --phase inference --prompt 4 --generate 4 --seq 8",
                  "--phase");
  require_refused(folder, "profile gpt2-tiny --eval-every 0", "--eval-every");
  require_refused(folder, "estimate gpt2-tiny --eval-every 0", "--eval-every");
  require_refused(folder, "estimate llama3-8b --eval-every 2", "--eval-every");
  require_refused(folder,
                  "estimate gpt2-tiny --phase inference --prompt 4 --generate 4 --eval-every 2",
                  "--eval-every");
  require_refused(folder, "profile gpt2-tiny --attention-dropout 1", "--attention-dropout");
  write(folder / "few.txt", std::string(500, 'a'));
  require_refused(folder, "profile gpt2-tiny --eval-every 2 --data few.txt", "held out");
}

TEST_CASE("a plan against what an allocator reserves is kept by that allocator") {
  const Folder folder;
  REQUIRE(call(folder, "profile gpt2-tiny --steps 2 --quiet -o run.tmk").code == 0);
  const std::string plan = "plan run.tmk --nodes 40 --json -o p.tmk ";
  const Result r = call(folder, plan + "--budget 10MiB --allocator pytorch");
  REQUIRE(r.code == 0);
  const Json planned = Json::parse(r.out);
  CHECK(planned["reserved_bytes"] <= 10 << 20);
  const Json model = Json::parse(call(folder, "allocator p.tmk --model pytorch --json").out);
  CHECK(model["models"][0]["peak_reserved_bytes"] == planned["reserved_bytes"]);
  CHECK(call(folder, plan + "--budget 1MiB --allocator pytorch").code == 1);
  require_refused(folder, plan + "--budget 10MiB --allocator malloc", "--allocator");
  require_refused(folder, plan + "--budget 10MiB --conf max_split_size_mb:32", "--conf");
}

TEST_CASE("a run with evaluations is shown, planned, executed and compared to the bit") {
  const Folder folder;
  const Result r = call(folder, "profile gpt2-tiny --batch 4 --steps 5 --eval-every 2 -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
  CHECK(r.out.find("  eval loss ") != std::string::npos);
  CHECK(r.out.find("peak of an evaluation") != std::string::npos);
  const Json run = Json::parse(call(folder, "show run.tmk --json").out);
  const auto eval_peak = run["eval_peak_bytes"].get<std::int64_t>();
  const Json estimated =
      Json::parse(call(folder, "estimate gpt2-tiny --batch 4 --eval-every 2 --json").out);
  CHECK(estimated["eval_peak_bytes"] == eval_peak);
  CHECK(estimated["eval_every"] == 2);
  CHECK(eval_peak > 0);
  CHECK(eval_peak < run["peak_bytes"].get<std::int64_t>());
  CHECK(run["eval_losses"].size() == 2);
  CHECK(run["eval_losses"][1]["step"] == 3);

  REQUIRE(call(folder, "plan run.tmk --budget 60% -o planned.tmk").code == 0);
  const Json planned = Json::parse(call(folder, "show planned.tmk --json").out);
  CHECK(planned["eval_peak_bytes"] == eval_peak);
  REQUIRE(call(folder, "profile --schedule planned.tmk --quiet -o measured.tmk").code == 0);
  const Json diff = Json::parse(call(folder, "diff planned.tmk measured.tmk --json").out);
  CHECK(diff["peak_error_bytes"] == 0);
  CHECK(diff["bitwise_equal"] == true);
  CHECK(diff["a"]["eval_peak_bytes"] == eval_peak);
  CHECK(diff["b"]["eval_peak_bytes"] == eval_peak);
  CHECK(call(folder, "diff planned.tmk measured.tmk").out.find("eval peak") != std::string::npos);
  const Json measured = Json::parse(call(folder, "show measured.tmk --json").out);
  CHECK(measured["eval_losses"] == run["eval_losses"]);

  // Below what an evaluation needs there is no plan, whatever the body could be made to need; only
  // optimizer state on the host lowers both.
  const Result none =
      call(folder, "plan run.tmk --allow recompute --budget " + std::to_string(eval_peak - 256));
  CHECK(none.code == 1);
}
