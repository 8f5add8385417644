#include "tests/bench/pytorch_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace tidemark {

PyTorchProcess::PyTorchProcess(const std::vector<std::string>& command) {
  std::signal(SIGPIPE, SIG_IGN);  // a child that is gone is seen as an end of file
  int down[2];
  int up[2];
  if (pipe(down) != 0 || pipe(up) != 0) throw std::runtime_error("no pipe");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) {
    dup2(down[0], STDIN_FILENO);
    dup2(up[1], STDOUT_FILENO);
    for (const int end : {down[0], down[1], up[0], up[1]}) close(end);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    std::_Exit(127);
  }
  close(down[0]);
  close(up[1]);
  to_ = fdopen(down[1], "w");
  from_ = fdopen(up[0], "r");
  facts_ = line();
}

PyTorchProcess::~PyTorchProcess() {
  std::fclose(to_);  // the end of its stdin ends it
  std::fclose(from_);
  waitpid(pid_, nullptr, 0);
}

std::optional<double> PyTorchProcess::step_ms() {
  if (facts_.empty()) return std::nullopt;
  std::fputs("\n", to_);
  std::fflush(to_);
  const std::string answer = line();
  if (answer.empty()) return std::nullopt;
  return std::strtod(answer.c_str(), nullptr);
}

std::string PyTorchProcess::line() {
  std::string out;
  for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) {
    out += static_cast<char>(c);
  }
  return out;
}

}  // namespace tidemark
