// An array of plain rows that is grown in memory, or lies in a mapped file. Readers see no
// difference; only the one in memory can grow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace tidemark {

template <class T>
class FlatArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  FlatArray() = default;
  FlatArray(FlatArray&& other) noexcept { swap(other); }
  FlatArray& operator=(FlatArray&& other) noexcept {
    swap(other);
    return *this;
  }

  /// `rows` must outlive the array.
  [[nodiscard]] static FlatArray over(std::span<const T> rows) {
    FlatArray array;
    array.data_ = rows.data();
    array.size_ = rows.size();
    return array;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const T& operator[](std::size_t row) const { return data_[row]; }
  [[nodiscard]] const T& back() const { return data_[size_ - 1]; }
  [[nodiscard]] const T* begin() const { return data_; }
  [[nodiscard]] const T* end() const { return data_ + size_; }
  [[nodiscard]] std::span<const T> rows() const { return {data_, size_}; }

  /// Memory that is reserved but not used is never touched, so it costs nothing.
  void reserve(std::size_t count) {
    if (count <= capacity_) return;
    auto larger = std::make_unique_for_overwrite<T[]>(count);
    std::copy(data_, data_ + size_, larger.get());
    owned_ = std::move(larger);
    data_ = owned_.get();
    capacity_ = count;
  }
  void push_back(const T& row) {
    if (size_ == capacity_) reserve(std::max<std::size_t>(2 * size_, 64));
    owned_[size_++] = row;
  }
  /// Rows of an array in memory may be changed.
  [[nodiscard]] std::span<T> owned_rows() { return {owned_.get(), owned_ ? size_ : 0}; }

 private:
  void swap(FlatArray& other) {
    std::swap(owned_, other.owned_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  std::unique_ptr<T[]> owned_;
  const T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace tidemark
