// SPDX-License-Identifier: Apache-2.0
//
// Loads libraries on a thread of its own, so that who opens them a moment later finds them there: a
// GPU driver has megabytes of addresses to be relocated and constructors to run, which takes tens of
// milliseconds that a start has other work for.

#include <dlfcn.h>

#include <mutex>
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

std::mutex g_mutex;
/// Not destroyed with the process, which would end badly if nobody had joined it.
std::thread* g_loader = nullptr;
bool g_started = false;

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
  std::vector<std::string> paths = PathsArg(info);
  const std::lock_guard lock(g_mutex);
  if (g_started) return info.Env().Undefined();
  g_started = true;
  try {
    g_loader = new std::thread(Load, std::move(paths));
  } catch (const std::system_error&) {
    // No thread to be had: then they are loaded where they are needed.
  }
  return info.Env().Undefined();
}

/// preloaded(): waits for it. To be called before a process ends, which must not be amid a library's
/// constructors: Node's process.exit runs no clean-up hooks.
Napi::Value Preloaded(const Napi::CallbackInfo& info) {
  const std::lock_guard lock(g_mutex);
  if (g_loader != nullptr && g_loader->joinable()) g_loader->join();
  return info.Env().Undefined();
}

}  // namespace

void InitPreload(Napi::Env, Napi::Object exports) {
  Export<Preload>(exports, "preload");
  Export<Preloaded>(exports, "preloaded");
}

}  // namespace vgpu
