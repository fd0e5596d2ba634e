// SPDX-License-Identifier: Apache-2.0
//
// Loads libraries on a thread of its own, so that who opens them a moment later finds them there: a
// GPU driver has megabytes of addresses to be relocated and constructors to run, which takes tens of
// milliseconds that a start has other work for.

#include <dlfcn.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "support.h"

namespace vgpu {
namespace {

constexpr uint32_t kLibrariesMax = 64;
constexpr size_t kPathMax = 4096;

/// They are never closed: whoever opens them takes them over.
void Load(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) static_cast<void>(::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL));
}

/// A process must not end amid a library's constructors.
void Join(void* data) {
  auto* loader = static_cast<std::thread*>(data);
  loader->join();
  delete loader;
}

std::vector<std::string> PathsArg(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsArray()) throw Napi::TypeError::New(env, "argument 'paths' must be an array");
  const Napi::Array array = info[0].As<Napi::Array>();
  if (array.Length() > kLibrariesMax) {
    throw Napi::RangeError::New(env, "argument 'paths' has more than 64 entries");
  }
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (!item.IsString()) throw Napi::TypeError::New(env, "argument 'paths' must hold strings");
    paths.push_back(item.As<Napi::String>().Utf8Value());
    if (paths.back().empty() || paths.back().size() >= kPathMax) {
      throw Napi::RangeError::New(env, "argument 'paths' holds what is no path");
    }
  }
  return paths;
}

/// preload(paths): in order, once in a process; later calls do nothing. What does not load is left to
/// whoever needs it, who can say why.
Napi::Value Preload(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<std::string> paths = PathsArg(info);
  static std::atomic_flag started;
  if (started.test_and_set()) return env.Undefined();
  try {
    auto* loader = new std::thread(Load, std::move(paths));
    napi_add_env_cleanup_hook(env, Join, loader);
  } catch (const std::system_error&) {
    // No thread to be had: then they are loaded where they are needed.
  }
  return env.Undefined();
}

}  // namespace

void InitPreload(Napi::Env, Napi::Object exports) { Export<Preload>(exports, "preload"); }

}  // namespace vgpu
