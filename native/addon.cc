// SPDX-License-Identifier: Apache-2.0
//
// The addon's entry. Each part registers its own names; the typed face of all of them is
// src/io/native.ts. The addon holds mechanism only: what to watch, map or send is decided there.

#include "support.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  vgpu::InitSockets(env, exports);
  vgpu::InitDescriptors(env, exports);
  vgpu::InitProcess(env, exports);
  vgpu::InitPreload(env, exports);
  vgpu::InitMapping(env, exports);
  vgpu::InitGpuMemory(env, exports);
  vgpu::InitWords(env, exports);
  vgpu::InitPoller(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(vgpu_native, Init)
