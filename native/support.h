// SPDX-License-Identifier: Apache-2.0
//
// What every part of the addon shares: owned descriptors, argument checks that throw typed
// JavaScript errors, and errors made of errno. The addon is built with C++ exceptions, so a thrown
// Napi::Error becomes a JavaScript exception at the boundary and destructors run on the way.

#ifndef VGPU_NATIVE_SUPPORT_H
#define VGPU_NATIVE_SUPPORT_H

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace vgpu {

/// Largest integer that a JavaScript number holds exactly.
inline constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

/// A descriptor that is closed when it goes out of scope.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// A byte range of JavaScript memory, valid until control returns to JavaScript.
struct ByteSpan {
  uint8_t* data = nullptr;
  size_t length = 0;
};

/// Makes the error of a failed system call: message, `code`, `errno` and `syscall` as Node's own.
[[nodiscard]] Napi::Error SystemError(Napi::Env env, int error, const char* syscall,
                                      const std::string& detail = {});

/// Argument readers: each throws TypeError for a wrong type and RangeError for a wrong value.
int FdArg(const Napi::CallbackInfo& info, size_t index, const char* name);
int64_t IntegerArg(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min,
                   int64_t max);
/// Accepts a number (a safe integer) or a BigInt; at most `max`.
uint64_t U64Arg(const Napi::CallbackInfo& info, size_t index, const char* name, uint64_t max);
std::string StringArg(const Napi::CallbackInfo& info, size_t index, const char* name,
                      size_t max_bytes);
bool BoolArg(const Napi::CallbackInfo& info, size_t index, const char* name);
/// Accepts an ArrayBuffer or a view of one.
ByteSpan BytesArg(const Napi::CallbackInfo& info, size_t index, const char* name);
Napi::Function FunctionArg(const Napi::CallbackInfo& info, size_t index, const char* name);

/// Returns the ArrayBuffer under an ArrayBuffer or view, for keeping a reference to it.
Napi::Value BufferOf(Napi::Value value);

/// Monotonic time in nanoseconds.
uint64_t NowNs();

// One function per part; each adds its names to `exports`.
void InitDescriptors(Napi::Env env, Napi::Object exports);
void InitGpuMemory(Napi::Env env, Napi::Object exports);
void InitMapping(Napi::Env env, Napi::Object exports);
void InitPoller(Napi::Env env, Napi::Object exports);
void InitPreload(Napi::Env env, Napi::Object exports);
void InitProcess(Napi::Env env, Napi::Object exports);
void InitSockets(Napi::Env env, Napi::Object exports);
void InitWords(Napi::Env env, Napi::Object exports);

/// Drops `fd` from every poller of this environment, so that closing it leaves no stale watch.
void ForgetDescriptor(Napi::Env env, int fd);

/// Adds a plain function to `exports` under `name`.
template <Napi::Value (*callback)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<callback>(exports.Env(), name));
}

/// Adds a function that takes the raw Node-API call, for what must cost nanoseconds.
void ExportRaw(Napi::Object exports, const char* name, napi_callback callback);

}  // namespace vgpu

#endif
