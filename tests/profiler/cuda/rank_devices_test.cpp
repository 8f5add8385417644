#include "profiler/cuda/rank_devices.h"

#include "fake_plugin.h"
#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// One process of several; the others bring the devices with these ids.
class Process : public ProcessCommunicator {
 public:
  Process(std::int32_t rank, std::int32_t local_rank, std::vector<std::uint64_t> ids)
      : rank_(rank), local_rank_(local_rank), ids_(std::move(ids)) {}
  [[nodiscard]] std::int32_t rank() const override { return rank_; }
  [[nodiscard]] std::int32_t ranks() const override {
    return static_cast<std::int32_t>(ids_.size());
  }
  [[nodiscard]] std::int32_t local_rank() const override { return local_rank_; }
  void run(const CollectiveCall&) override {}
  std::vector<double> share(std::span<const double> values) override {
    std::vector<double> out;
    for (const std::uint64_t id : ids_) {
      out.push_back(static_cast<double>(id >> 32));
      out.push_back(static_cast<double>(id & 0xFFFFFFFFU));
    }
    std::ranges::copy(values, out.begin() + 2 * rank_);
    return out;
  }
  void stop() override {}
  void leave(int) override {}

 private:
  std::int32_t rank_, local_rank_;
  std::vector<std::uint64_t> ids_;
};

}  // namespace

TEST_CASE("a rank that is a thread has the device of its number") {
  const FakePlugin fake(2);
  CHECK(device_of_thread(fake.api, 1, 2).device == 1);
  CHECK(device_of_thread(fake.api, 1, 2).name == "fake device");
  CHECK_THROWS_AS(device_of_thread(fake.api, 0, 3), InputError);
}

TEST_CASE("a rank that is a process has the device of its place on its machine") {
  const FakePlugin fake(2);
  Process on_second_machine(3, 1, {900, 901, 100, 101});
  CHECK(device_of_process(fake.api, on_second_machine).device == 1);
}

TEST_CASE("where the launcher leaves each process one device to see, it has that") {
  FakePlugin fake(1);
  fake.first_id = std::uint64_t{7} << 40;
  Process third(2, 2, {5, 6, 0, 8});
  CHECK(device_of_process(fake.api, third).device == 0);
}

TEST_CASE("two processes on one device are refused, and named") {
  FakePlugin fake(1);
  fake.first_id = 6;
  Process third(2, 2, {5, 6, 0, 8});
  CHECK_THROWS_WITH(device_of_process(fake.api, third),
                    Catch::Contains("expected a device for each of 4 ranks, "
                                    "found ranks 1 and 2 on the same"));
}
