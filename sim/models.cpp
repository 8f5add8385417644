// The models that have a name.
#include "sim/config.h"

namespace tidemark {
namespace {

BuiltinModel builtin(std::string name, ModelFamily family, std::int64_t batch, std::string about) {
  BuiltinModel m;
  m.model.name = std::move(name);
  m.model.family = family;
  m.batch = batch;
  m.about = std::move(about);
  return m;
}

BuiltinModel mlp(std::string name, std::vector<std::int64_t> widths, std::int64_t batch,
                 std::string about) {
  BuiltinModel m = builtin(std::move(name), ModelFamily::mlp, batch, std::move(about));
  m.model.mlp.widths = std::move(widths);
  return m;
}

BuiltinModel gpt2(std::string name, Gpt2Config shape, std::int64_t batch, std::string about) {
  BuiltinModel m = builtin(std::move(name), ModelFamily::gpt2, batch, std::move(about));
  m.model.gpt2 = shape;
  m.sequence = shape.positions;
  return m;
}

BuiltinModel llama(std::string name, LlamaConfig shape, std::int64_t batch, std::string about) {
  BuiltinModel m = builtin(std::move(name), ModelFamily::llama, batch, std::move(about));
  m.model.llama = shape;
  m.sequence = shape.positions;
  return m;
}

BuiltinModel image(std::string name, ModelFamily family, ImageConfig shape, std::int64_t batch,
                   std::string about) {
  BuiltinModel m = builtin(std::move(name), family, batch, std::move(about));
  m.model.image = shape;
  return m;
}

}  // namespace

const std::vector<BuiltinModel>& builtin_models() {
  static const std::vector<BuiltinModel> models{
      mlp("mlp-tiny", {64, 32, 10}, 64, "8x8 digits, one hidden layer"),
      mlp("mlp", {64, 512, 256, 10}, 512, "8x8 digits, two hidden layers"),
      mlp("mlp-wide", {784, 2048, 2048, 2048, 2048, 10}, 256, "28x28 images, four wide layers"),
      image("lenet5", ModelFamily::lenet, {.channels = 1, .height = 28, .width = 28, .classes = 10},
            64, "LeNet-5 with rectifiers, 28x28 images"),
      image("resnet20", ModelFamily::resnet,
            {.channels = 3, .height = 32, .width = 32, .classes = 10, .blocks = 3, .filters = 16},
            32, "ResNet-20 (He et al. 2015), 32x32 colour images"),
      gpt2("gpt2-tiny",
           {.layers = 4, .heads = 4, .channels = 64, .vocabulary = 256, .positions = 64}, 8,
           "0.2 M parameters on bytes, trains in seconds"),
      gpt2("gpt-small",
           {.layers = 4, .heads = 4, .channels = 128, .vocabulary = 256, .positions = 64}, 12,
           "0.8 M parameters on bytes"),
      gpt2("gpt-baby",
           {.layers = 6, .heads = 6, .channels = 384, .vocabulary = 256, .positions = 256}, 4,
           "10.8 M parameters on bytes"),
      gpt2("gpt2-124M",
           {.layers = 12, .heads = 12, .channels = 768, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 small (Radford et al. 2019)"),
      gpt2("gpt2-350M",
           {.layers = 24, .heads = 16, .channels = 1024, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 medium"),
      gpt2("gpt2-774M",
           {.layers = 36, .heads = 20, .channels = 1280, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 large"),
      gpt2("gpt2-1558M",
           {.layers = 48, .heads = 25, .channels = 1600, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 XL"),
      llama("llama-tiny",
            {.layers = 4,
             .heads = 4,
             .kv_heads = 2,
             .channels = 64,
             .hidden = 176,
             .vocabulary = 256,
             .positions = 64},
            8, "0.2 M parameters on bytes, grouped keys and values"),
      llama("moe-tiny",
            {.layers = 4,
             .heads = 4,
             .kv_heads = 2,
             .channels = 64,
             .hidden = 88,
             .vocabulary = 256,
             .positions = 64,
             .experts = 8},
            8, "0.6 M parameters on bytes, 2 of 8 experts for each token"),
      llama("llama-1B",
            {.layers = 16,
             .heads = 32,
             .kv_heads = 8,
             .channels = 2048,
             .hidden = 8192,
             .vocabulary = 128256,
             .positions = 2048,
             .rotary_base = 500'000},
            1, "shape of Llama 3.2 1B, with a head of its own and plain rotary positions"),
  };
  return models;
}

}  // namespace tidemark
