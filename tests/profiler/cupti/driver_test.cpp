#include "profiler/cupti/driver.h"

#include "../../catch.h"
#include "fake_cupti.h"
#include "profiler/cupti/probe.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("driver: each thing that is missing is named") {
  CHECK(probe_driver(nullptr, "no library") == Capability{false, "no library"});
  FakeDriver driver;
  CHECK(probe_driver(&driver.api, "") ==
        Capability{true, "1 x Paper GPU, 16.00 GiB; driver for CUDA 13.0"});
  driver.devices = 0;
  CHECK(probe_driver(&driver.api, "") == Capability{false, "the driver finds no device"});
  driver.init_result = 100;
  CHECK(probe_driver(&driver.api, "") == Capability{false, "the driver finds no device"});
  driver.init_result = 34;
  CHECK(probe_driver(&driver.api, "") ==
        Capability{false, "libcuda.so.1 is the stub of the toolkit, not a driver"});
  driver.init_result = 999;
  CHECK(probe_driver(&driver.api, "") == Capability{false, "cuInit failed with code 999"});
}

TEST_CASE("driver: this machine answers in one line, whatever it has") {
  const Capability driver = probe_driver();
  CHECK_FALSE(driver.why.empty());
  CHECK(driver.why.find('\n') == std::string::npos);
  const Capability cupti = probe_cupti();
  CHECK_FALSE(cupti.why.empty());
  if (!driver.works) CHECK(cupti == driver);  // the first thing that is missing is named
}

TEST_CASE("cupti: the library of this machine loads or says why not, and a probe leaves nothing") {
  std::string why;
  const CuptiApi* real = load_cupti(why);
  CHECK((real == nullptr) == !why.empty());
  FakeCupti fake;
  CHECK(probe_cupti(&fake.api, "") == Capability{true, "libcupti version 130001"});
  CHECK(fake.calls == std::vector<std::string>{"subscribe", "unsubscribe"});
  CHECK(probe_cupti(nullptr, "not found") == Capability{false, "not found"});
}
