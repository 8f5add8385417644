#include "profiler/cupti/session.h"

#include <algorithm>

#include "../../catch.h"
#include "fake_cupti.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::unique_ptr<CuptiSession> start(const FakeCupti& fake, std::string& why,
                                    SessionOptions options = {}) {
  return CuptiSession::start(fake.api, options, {}, {}, why);
}

std::ptrdiff_t place_of(const FakeCupti& fake, const std::string& call) {
  return std::find(fake.calls.begin(), fake.calls.end(), call) - fake.calls.begin();
}

}  // namespace

TEST_CASE("session: the clock before any kind, the buffers before the first record") {
  FakeCupti fake;
  std::string why;
  {
    const auto session = start(fake, why);
    REQUIRE(session != nullptr);
    CHECK(place_of(fake, "register_timestamp") < place_of(fake, "activity_enable"));
    CHECK(place_of(fake, "register_callbacks") < place_of(fake, "activity_enable"));
    CHECK(fake.enabled == std::vector{CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                                      CUPTI_ACTIVITY_KIND_MEMORY2, CUPTI_ACTIVITY_KIND_MEMORY_POOL,
                                      CUPTI_ACTIVITY_KIND_OVERHEAD});
    CHECK(session->device_cost_bytes() == 0);  // no kernels: CUPTI keeps nothing on the device
    CHECK(place_of(fake, "finalize") == std::ssize(fake.calls));
    const auto second = start(fake, why);
    CHECK(second == nullptr);
    CHECK(why == "this process records already");
  }
  CHECK(fake.enabled.empty());
  CHECK(place_of(fake, "unsubscribe") < place_of(fake, "finalize"));
  CHECK(place_of(fake, "finalize") < std::ssize(fake.calls));
}

TEST_CASE("session: kernels cost device memory") {
  FakeCupti fake;
  std::string why;
  const auto session = start(fake, why, {.kernels = true});
  REQUIRE(session != nullptr);
  CHECK(session->device_cost_bytes() == 3 * 3'200'000);
  CHECK(std::ranges::count(fake.enabled, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) == 1);
}

TEST_CASE("session: what stands in the way is named, and nothing stays switched on") {
  FakeCupti fake;
  std::string why;
  SECTION("another profiler, with its name") {
    fake.subscribe_result = CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
    fake.holder = "Nsight Systems";
    CHECK(start(fake, why) == nullptr);
    CHECK(why == "another profiler holds CUPTI: Nsight Systems");
  }
  SECTION("a library that cannot name it") {
    fake.subscribe_result = CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
    fake.api.subscribe_named = nullptr;
    CHECK(start(fake, why) == nullptr);
    CHECK(why == "another profiler holds CUPTI");
  }
  SECTION("no driver") {
    fake.subscribe_result = CUPTI_ERROR_UNKNOWN;
    CHECK(start(fake, why) == nullptr);
    CHECK(why == "cuptiSubscribe: CUPTI_ERROR_UNKNOWN (999)");
  }
  SECTION("a kind that is refused") {
    fake.refused_kind = CUPTI_ACTIVITY_KIND_MEMORY_POOL;
    CHECK(start(fake, why) == nullptr);
    CHECK(why == "cuptiActivityEnable(50): CUPTI_ERROR_X (14)");
    CHECK(place_of(fake, "unsubscribe") < std::ssize(fake.calls));
  }
  CHECK(fake.enabled.empty());
  fake.subscribe_result = CUPTI_SUCCESS;
  fake.refused_kind = CUPTI_ACTIVITY_KIND_INVALID;
  CHECK(start(fake, why) != nullptr);
}

TEST_CASE("session: records of full and of open buffers, drops counted") {
  FakeCupti fake;
  std::string why;
  // A buffer has room for two memory records.
  const auto session = start(fake, why, {.buffer_bytes = 256, .buffers = 3});
  REQUIRE(session != nullptr);
  for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(fake.allocate(0x1000 + i * 0x100, 64, i));
  RecordBatch batch = session->collect(false);
  CHECK(batch.memory.size() == 5);
  CHECK(batch.dropped == 0);
  for (std::uint64_t i = 0; i < 8; ++i) fake.allocate(0x9000 + i * 0x100, 64, i);
  batch = session->collect(true);
  CHECK(batch.memory.size() == 6);  // three buffers, and nobody drained them
  CHECK(batch.dropped == 2);
  CHECK(session->collect(true) == RecordBatch{});
  CHECK(session->host_cost_bytes() == 3 * 256);
}

TEST_CASE("session: scopes, refusals, contexts and a fatal error arrive") {
  FakeCupti fake;
  std::string why;
  std::vector<AllocationCall> refused;
  std::vector<std::pair<void*, bool>> contexts;
  const auto session = CuptiSession::start(
      fake.api, {}, [&](const AllocationCall& call) { refused.push_back(call); },
      [&](void* context, bool made) { contexts.emplace_back(context, made); }, why);
  REQUIRE(session != nullptr);
  session->push_scope(42);
  fake.allocate(0x1000, 64, 1);
  session->pop_scope();
  CHECK(session->collect(false).scopes ==
        std::vector<ScopeRecord>{{.correlation = 1, .scope = 42}});
  fake.allocation_returns(100, CUDA_SUCCESS);
  CHECK(refused.empty());
  fake.allocation_returns(1 << 30, CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(refused == std::vector{AllocationCall{"cuMemAlloc_v2", 1 << 30, true}});
  fake.context_created(&fake);
  CHECK(contexts == std::vector<std::pair<void*, bool>>{{&fake, true}});
  CHECK_FALSE(session->is_cut_off());
  fake.callback(fake.user, CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_FATAL_ERROR, nullptr);
  CHECK(session->is_cut_off());
}
