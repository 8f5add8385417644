// What every use of oneDNN shares. For the files named *_onednn.cpp, which include dnnl.hpp.
#pragma once

namespace dnnl {
struct engine;
struct stream;
}  // namespace dnnl

namespace tidemark::kernels::onednn {

/// Of the calling thread; what runs there uses no other thread.
[[nodiscard]] const dnnl::engine& engine();
[[nodiscard]] dnnl::stream& stream();

}  // namespace tidemark::kernels::onednn
