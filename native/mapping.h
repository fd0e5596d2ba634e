// SPDX-License-Identifier: Apache-2.0
//
// Mapped regions of shared memory files, and references into JavaScript-visible memory.

#ifndef VGPU_NATIVE_MAPPING_H
#define VGPU_NATIVE_MAPPING_H

#include <napi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "support.h"

namespace vgpu {

/// One mapping of a file, alive until unmapped or until nobody refers to it any more: neither its
/// Mapping object, nor a window, nor a bound RingWords.
class MapState {
 public:
  MapState() = default;
  MapState(const MapState&) = delete;
  MapState& operator=(const MapState&) = delete;
  ~MapState() { Unmap(); }

  /// Unmaps now. The caller has made sure that no window is left.
  void Unmap();
  [[nodiscard]] bool mapped() const { return mapped_.load(std::memory_order_acquire); }
  /// Faults repaired by the SIGBUS guard; keeps its last value after unmapping.
  [[nodiscard]] uint32_t faults() const;
  [[nodiscard]] uint8_t* data() const { return base_ + skew_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] bool readonly() const { return readonly_; }

 private:
  friend class Mapping;
  friend std::shared_ptr<MapState> MapFile(Napi::Env env, int fd, uint64_t offset, uint64_t bytes,
                                           bool readonly);

  uint8_t* base_ = nullptr;  // page-aligned start of the mapping
  size_t mapped_bytes_ = 0;
  size_t skew_ = 0;  // of the region's first byte in the mapping
  size_t bytes_ = 0;
  bool readonly_ = false;
  UniqueFd fd_;
  int guard_slot_ = -1;
  uint32_t last_faults_ = 0;
  std::atomic<bool> mapped_{false};
};

/// Maps `bytes` of `fd` from `offset`, of any alignment; throws a JavaScript error.
std::shared_ptr<MapState> MapFile(Napi::Env env, int fd, uint64_t offset, uint64_t bytes,
                                  bool readonly);

/// The mapping that contains `address`, or null for other memory.
std::shared_ptr<MapState> FindMapping(const uint8_t* address);

/// A bound byte range that outlives the call: either inside a mapping, which it keeps alive, or in
/// an ordinary ArrayBuffer, which it keeps from being collected.
class MemoryRef {
 public:
  MemoryRef() = default;
  /// Binds to an ArrayBuffer or view.
  MemoryRef(const Napi::CallbackInfo& info, size_t index, const char* name);

  [[nodiscard]] uint8_t* data() const { return span_.data; }
  [[nodiscard]] size_t length() const { return span_.length; }
  [[nodiscard]] bool readonly() const { return state_ != nullptr && state_->readonly(); }
  /// Whether the bytes are still there: not unmapped, not detached.
  [[nodiscard]] bool Alive() const {
    return state_ != nullptr ? state_->mapped() : BufferAttached();
  }

 private:
  [[nodiscard]] bool BufferAttached() const;

  ByteSpan span_;
  std::shared_ptr<MapState> state_;
  std::shared_ptr<Napi::ObjectReference> buffer_;
};

}  // namespace vgpu

#endif
