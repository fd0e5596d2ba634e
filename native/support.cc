// SPDX-License-Identifier: Apache-2.0
//
// Argument checks and errors (see support.h). The TypeScript side validates first and gives the
// better message; the checks here are what keeps a wrong call from corrupting the process.

#include "support.h"

#include <time.h>
#include <unistd.h>

#include <climits>
#include <cmath>

#include "uv_abi.h"

namespace vgpu {

void UniqueFd::reset(int fd) {
  // Linux closes the descriptor even when close() reports EINTR, so it is never retried.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Napi::Error SystemError(Napi::Env env, int error, const char* syscall, const std::string& detail) {
  std::string message = std::string(uv_err_name(-error)) + ": " + uv_strerror(-error) + ", " + syscall;
  if (!detail.empty()) message += " " + detail;
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("code", Napi::String::New(env, uv_err_name(-error)));
  result.Set("errno", Napi::Number::New(env, -error));
  result.Set("syscall", Napi::String::New(env, syscall));
  return result;
}

namespace {

std::string Wants(const char* name, const char* what) {
  return std::string("argument '") + name + "' must be " + what;
}

std::string OutOfRange(const char* name, const std::string& value, const std::string& min,
                       const std::string& max) {
  return std::string("argument '") + name + "' is " + value + ", outside " + min + " to " + max;
}

}  // namespace

int64_t IntegerArg(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min,
                   int64_t max) {
  Napi::Value value = info[index];
  if (!value.IsNumber()) throw Napi::TypeError::New(info.Env(), Wants(name, "an integer"));
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) ||
      std::floor(number) != number) {
    throw Napi::RangeError::New(info.Env(), OutOfRange(name, std::to_string(number),
                                                       std::to_string(min), std::to_string(max)));
  }
  return static_cast<int64_t>(number);
}

int FdArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return static_cast<int>(IntegerArg(info, index, name, 0, INT_MAX));
}

uint64_t U64Arg(const Napi::CallbackInfo& info, size_t index, const char* name, uint64_t max) {
  Napi::Value value = info[index];
  uint64_t result = 0;
  if (value.IsBigInt()) {
    bool lossless = false;
    result = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) {
      throw Napi::RangeError::New(info.Env(), Wants(name, "an unsigned 64-bit integer"));
    }
  } else {
    result = static_cast<uint64_t>(
        IntegerArg(info, index, name, 0, static_cast<int64_t>(kMaxSafeInteger)));
  }
  if (result > max) {
    throw Napi::RangeError::New(
        info.Env(), OutOfRange(name, std::to_string(result), "0", std::to_string(max)));
  }
  return result;
}

std::string StringArg(const Napi::CallbackInfo& info, size_t index, const char* name,
                      size_t max_bytes) {
  Napi::Value value = info[index];
  if (!value.IsString()) throw Napi::TypeError::New(info.Env(), Wants(name, "a string"));
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.empty() || text.size() > max_bytes || text.find('\0') != std::string::npos) {
    throw Napi::RangeError::New(
        info.Env(), std::string("argument '") + name + "' has " + std::to_string(text.size()) +
                        " bytes; it must have 1 to " + std::to_string(max_bytes) +
                        " and contain no zero byte");
  }
  return text;
}

bool BoolArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  Napi::Value value = info[index];
  if (!value.IsBoolean()) throw Napi::TypeError::New(info.Env(), Wants(name, "a boolean"));
  return value.As<Napi::Boolean>().Value();
}

Napi::Value BufferOf(Napi::Value value) {
  if (value.IsTypedArray()) return value.As<Napi::TypedArray>().ArrayBuffer();
  if (value.IsDataView()) return value.As<Napi::DataView>().ArrayBuffer();
  return value;
}

ByteSpan BytesArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  Napi::Value value = info[index];
  if (value.IsTypedArray()) {
    Napi::TypedArray array = value.As<Napi::TypedArray>();
    Napi::ArrayBuffer buffer = array.ArrayBuffer();
    // A detached buffer has no data and a length of 0: nothing to offset into.
    if (buffer.Data() == nullptr) return {};
    return {static_cast<uint8_t*>(buffer.Data()) + array.ByteOffset(), array.ByteLength()};
  }
  if (value.IsArrayBuffer()) {
    Napi::ArrayBuffer buffer = value.As<Napi::ArrayBuffer>();
    return {static_cast<uint8_t*>(buffer.Data()), buffer.ByteLength()};
  }
  if (value.IsDataView()) {
    Napi::DataView view = value.As<Napi::DataView>();
    return {static_cast<uint8_t*>(view.Data()), view.ByteLength()};
  }
  throw Napi::TypeError::New(info.Env(), Wants(name, "an ArrayBuffer or a view of one"));
}

Napi::Function FunctionArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  Napi::Value value = info[index];
  if (!value.IsFunction()) throw Napi::TypeError::New(info.Env(), Wants(name, "a function"));
  return value.As<Napi::Function>();
}

void ExportRaw(Napi::Object exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(exports.Env(), name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  exports.Set(name, Napi::Value(exports.Env(), function));
}

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace vgpu
