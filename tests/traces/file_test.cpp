// Files: what can be read, and that a failing write leaves the old file.
#include "traces/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../catch.h"
#include "random_trace.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;
namespace fs = std::filesystem;

namespace {

/// A folder that is gone at the end of the test.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "tidemark.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path / name).string();
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
  }
  fs::path path;
};

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Compresses with the tool of the system; false when it is not there.
bool compress(const std::string& tool, const std::string& path, const std::string& out) {
  return std::system((tool + " -c '" + path + "' > '" + out + "' 2>/dev/null").c_str()) == 0;
}

/// Standard stream `fd` is the file `path` while this lives.
struct Redirect {
  Redirect(int fd, const std::string& path, int flags) : fd_(fd), kept_(dup(fd)) {
    const int file = open(path.c_str(), flags, 0644);
    dup2(file, fd);
    close(file);
  }
  ~Redirect() {
    dup2(kept_, fd_);
    close(kept_);
  }
  Redirect(const Redirect&) = delete;
  Redirect& operator=(const Redirect&) = delete;
  int fd_;
  int kept_;
};

/// Files cannot grow beyond this while it lives: a full disk, made small.
struct FullDisk {
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  rlimit before_{};
};

}  // namespace

TEST_CASE("a trace is written and read back, in either form by the name") {
  const Folder folder;
  const Trace trace = random_trace(1);
  write_trace(trace, folder / "t.tmk");
  write_trace(trace, folder / "t.tmk.json");
  CHECK(contents(folder / "t.tmk").substr(1, 3) == "TMK");
  CHECK(contents(folder / "t.tmk.json").front() == '{');
  CHECK(read_trace(folder / "t.tmk") == trace);
  CHECK(read_trace(folder / "t.tmk.json") == trace);
  CHECK(folder.files() == 2);
}

TEST_CASE("compressed traces are read, told by content and not by name") {
  const Folder folder;
  const Trace trace = random_trace(2);
  write_trace(trace, folder / "t.tmk");
  write_trace(trace, folder / "t.tmk.json");
  for (const std::string tool : {"gzip", "xz", "zstd -q"}) {
    if (!compress(tool, folder / "t.tmk", folder / "a")) continue;  // not installed here
    CAPTURE(tool);
    CHECK(read_trace(folder / "a") == trace);
    REQUIRE(compress(tool, folder / "t.tmk.json", folder / "b"));
    CHECK(read_trace(folder / "b") == trace);
  }
}

TEST_CASE("a compressed file that is cut or damaged is refused with its name") {
  const Folder folder;
  write_trace(random_trace(3, 100), folder / "t.tmk");
  for (const std::string tool : {"gzip", "xz", "zstd -q"}) {
    if (!compress(tool, folder / "t.tmk", folder / "a")) continue;
    CAPTURE(tool);
    const std::string good = contents(folder / "a");
    put(folder / "cut", good.substr(0, good.size() / 2));
    CHECK_THROWS_WITH(read_file(folder / "cut"), Catch::Contains("cut"));
    std::string bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 0x55);
    put(folder / "bad", bad);
    CHECK_THROWS_WITH(read_file(folder / "bad"), Catch::Contains("bad"));
  }
}

TEST_CASE("a file that is larger than the limit, also only after decompression, is refused") {
  const Folder folder;
  put(folder / "zeros", std::string(3 << 20, '\0'));
  CHECK_THROWS_WITH(read_file(folder / "zeros", 1 << 20), Catch::Contains("more than"));
  if (compress("gzip", folder / "zeros", folder / "bomb")) {
    REQUIRE(fs::file_size(folder / "bomb") < 10000);
    CHECK_THROWS_WITH(read_file(folder / "bomb", 1 << 20), Catch::Contains("after decompression"));
  }
}

TEST_CASE("missing files, directories and files that are no trace are refused by name") {
  const Folder folder;
  CHECK_THROWS_WITH(read_trace(folder / "absent.tmk"),
                    Catch::Contains("absent.tmk") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(read_trace(folder.path.string()), Catch::Contains("a directory"));
  put(folder / "empty", "");
  CHECK_THROWS_WITH(read_trace(folder / "empty"), Catch::Contains("an empty file"));
  put(folder / "text", "hello");
  CHECK_THROWS_WITH(read_trace(folder / "text"), Catch::Contains("a tidemark trace"));
}

TEST_CASE("places that cannot be written are refused by name") {
  const Folder folder;
  const Trace trace = full_trace();
  CHECK_THROWS_WITH(write_trace(trace, folder / "no/such/t.tmk"),
                    Catch::Contains("t.tmk") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(write_trace(trace, folder.path.string()), Catch::Contains("a directory"));
  CHECK_THROWS_WITH(write_file("/dev/full", "x"), Catch::Contains("No space left"));
  CHECK(folder.files() == 0);
}

TEST_CASE("a write that fails half way leaves the old file and nothing beside it") {
  const Folder folder;
  write_file(folder / "t", "the old content");
  {
    const FullDisk full(1000);
    CHECK_THROWS_AS(write_file(folder / "t", std::string(100000, 'x')), InputError);
  }
  CHECK(contents(folder / "t") == "the old content");
  CHECK(folder.files() == 1);
  write_file(folder / "t", "new");
  CHECK(contents(folder / "t") == "new");
  CHECK(folder.files() == 1);
}

TEST_CASE("a pipe or a device is written in place") {
  const Folder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  write_file(pipe, "through");
  std::string got(20, '\0');
  got.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(reader, got.data(), 20))));
  close(reader);
  CHECK(got == "through");
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("a dash is standard input and standard output") {
  const Folder folder;
  const Trace trace = full_trace();
  {
    const Redirect out(STDOUT_FILENO, folder / "out", O_WRONLY | O_CREAT);
    write_trace(trace, "-");
  }
  CHECK(read_trace(folder / "out") == trace);
  const Redirect in(STDIN_FILENO, folder / "out", O_RDONLY);
  CHECK(read_trace("-") == trace);
}

TEST_CASE("an index gives the traces of all ranks in order") {
  const Folder folder;
  Trace index;
  index.meta.rank_count = 2;
  index.ranks = {{1, "b.tmk"}, {0, "a.tmk.json"}};
  Trace a;
  Trace b;
  a.meta.title = "a";
  b.meta.title = "b";
  b.meta.rank = 1;
  b.meta.rank_count = 2;
  write_trace(a, folder / "a.tmk.json");
  write_trace(b, folder / "b.tmk");
  write_trace(index, folder / "run.tmk");
  CHECK(read_ranks(folder / "run.tmk") == std::vector<Trace>{a, b});
  CHECK(read_ranks(folder / "b.tmk") == std::vector<Trace>{b});
  CHECK(read_trace(folder / "run.tmk") == index);
}

TEST_CASE("an index with missing, doubled, misnamed or outside files is refused") {
  const Folder folder;
  Trace a;
  write_trace(a, folder / "a.tmk");
  const auto refuses = [&](std::vector<RankFile> ranks, const std::string& why) {
    Trace index;
    index.ranks = std::move(ranks);
    write_trace(index, folder / "run.tmk");
    CHECK_THROWS_WITH(read_ranks(folder / "run.tmk"), Catch::Contains(why));
  };
  refuses({{0, "a.tmk"}, {1, "absent.tmk"}}, "absent.tmk");
  refuses({{0, "a.tmk"}, {0, "a.tmk"}}, "one file of rank 1");
  refuses({{1, "a.tmk"}}, "one file of rank 0");
  refuses({{0, "a.tmk"}, {1, "a.tmk"}}, "a trace of rank 1");
  refuses({{0, "../a.tmk"}}, "beside the index");
  refuses({{0, "/etc/passwd"}}, "beside the index");
  refuses({{0, "run.tmk"}}, "a trace of rank 0");
}

TEST_CASE("an output that is an input is refused, by whatever name") {
  const Folder folder;
  std::ofstream(folder / "run.tmk") << "x";
  fs::create_symlink(folder / "run.tmk", folder / "link.tmk");
  fs::create_hard_link(folder / "run.tmk", folder / "hard.tmk");
  for (const char* name : {"run.tmk", "link.tmk", "hard.tmk", "../run.tmk"}) {
    const std::string output = std::string(name) == "../run.tmk"
                                   ? folder / ("../" + folder.path.filename().string() + "/run.tmk")
                                   : folder / name;
    INFO(output);
    CHECK_THROWS_AS(require_other_file(output, {"", folder / "run.tmk"}), InputError);
  }
  CHECK_NOTHROW(require_other_file(folder / "new.tmk", {folder / "run.tmk"}));
  CHECK_NOTHROW(require_other_file("-", {"-"}));
  CHECK_NOTHROW(require_other_file("/dev/null", {"/dev/null"}));
}

TEST_CASE("the index of several ranks is not one trace") {
  const Folder folder;
  Trace index;
  index.ranks = {{0, "run.rank0.tmk"}, {1, "run.rank1.tmk"}};
  write_trace(index, folder / "run.tmk");
  try {
    (void)read_single(folder / "run.tmk");
    FAIL("read");
  } catch (const InputError& e) {
    CHECK(std::string(e.what()).find("run.rank0.tmk") != std::string::npos);
  }
}
