// Where the default data are on a Debian machine.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "profiler/dataset.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_licences = "/usr/share/common-licenses";
constexpr const char* k_digits = "digits.csv.gz";
constexpr const char* k_digits_of_package = "/usr/lib/python3/dist-packages/sklearn/datasets/data";

/// All files of the folder (links left out, they would repeat a text), joined in name order.
std::string joined_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && !entry.is_symlink(error)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::string text;
  for (const fs::path& file : files) text += read_file(file.string());
  return text;
}

/// Below TIDEMARK_DATA, below build/data of the current folder or of a folder above the program,
/// or as the Debian package installs it; empty when it is nowhere.
std::string find_digits() {
  std::vector<fs::path> folders;
  if (const char* own = std::getenv("TIDEMARK_DATA"); own != nullptr && *own != '\0') {
    folders.emplace_back(own);
  }
  std::error_code error;
  folders.push_back(fs::current_path(error) / "build" / "data");
  fs::path above = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (; above.has_relative_path(); above = above.parent_path()) {
    folders.push_back(above / "data");
    folders.push_back(above / "build" / "data");
  }
  folders.emplace_back(k_digits_of_package);
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / k_digits, error)) return (folder / k_digits).string();
  }
  return {};
}

bool is_idx(const std::string& content) {
  return content.starts_with(std::string("\0\0\x08", 3));
}

/// "train-images-idx3-ubyte" -> "train-labels-idx1-ubyte", as the files of MNIST are named.
std::string labels_of(const std::string& images) {
  std::string labels = images;
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"images", "labels"},
                                 std::pair<std::string, std::string>{"idx3", "idx1"}}) {
    const std::size_t at = labels.rfind(from);
    if (at != std::string::npos) labels.replace(at, from.size(), to);
  }
  if (labels == images) {
    throw InputError({images, "name", "'images' in it, so that the labels are found", "none"});
  }
  return labels;
}

Dataset load(const RunConfig& config, const std::string& path) {
  std::string content = read_file(path);
  if (config.model.is_decoder()) return Dataset::text(std::move(content));
  Dataset data = is_idx(content)          ? Dataset::idx(content, read_file(labels_of(path)), path)
                 : path.ends_with(".bin") ? Dataset::cifar(content, path)
                                          : Dataset::table(content, path);
  if (config.model.family != ModelFamily::mlp) data.resize(config.model.image, path);
  return data;
}

}  // namespace

Dataset find_dataset(const RunConfig& config, const std::string& path) {
  std::string source = path;
  const bool text = config.model.is_decoder();
  if (source.empty() && text) {
    Dataset data = Dataset::text(joined_files(k_licences));
    data.require_fits(config, k_licences);
    return data;
  }
  if (source.empty()) source = find_digits();
  if (source.empty()) {
    throw InputError(std::string("no ") + k_digits +
                     " found: install the Debian package python3-sklearn, name a table with --data "
                     "FILE, or run scripts/setup in a clone");
  }
  Dataset data = load(config, source);
  data.require_fits(config, source);
  return data;
}

}  // namespace tidemark
