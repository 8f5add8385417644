// A RankGroup of MPI processes. Loaded at run time, so that the program starts without MPI.
#include <mpi.h>

#include <cstdint>

#include "sim/report_run.h"

namespace tidemark {
namespace {

constexpr int k_tag = 1;

class MpiGroup : public RankGroup {
 public:
  MpiGroup() {
    int provided = 0;  // only the main thread speaks
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiGroup() override { MPI_Finalize(); }
  MpiGroup(const MpiGroup&) = delete;
  MpiGroup& operator=(const MpiGroup&) = delete;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  std::string share(const std::string& text) override {
    auto bytes = static_cast<std::int64_t>(text.size());
    MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
    std::string out = text;
    out.resize(static_cast<std::size_t>(bytes));
    MPI_Bcast(out.data(), static_cast<int>(bytes), MPI_CHAR, 0, MPI_COMM_WORLD);
    return out;
  }

  void send(const std::string& line) override {
    MPI_Send(line.data(), static_cast<int>(line.size()), MPI_CHAR, 0, k_tag, MPI_COMM_WORLD);
  }

  std::optional<std::string> receive() override {
    int found = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, k_tag, MPI_COMM_WORLD, &found, &status);
    if (found == 0) return std::nullopt;
    int bytes = 0;
    MPI_Get_count(&status, MPI_CHAR, &bytes);
    std::string line(static_cast<std::size_t>(bytes), '\0');
    MPI_Recv(line.data(), bytes, MPI_CHAR, status.MPI_SOURCE, k_tag, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    return line;
  }

  void give_up(int exit_code) override { MPI_Abort(MPI_COMM_WORLD, exit_code); }

 private:
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace
}  // namespace tidemark

extern "C" tidemark::RankGroup* tidemark_mpi_group() {
  return new tidemark::MpiGroup;
}
