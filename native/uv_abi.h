// SPDX-License-Identifier: Apache-2.0
//
// The few libuv functions the addon needs. The Node-API headers do not carry uv.h, and downloading
// Node's headers is what the build avoids. Handles stay opaque here: their size is asked of the
// running libuv (uv_handle_size), so only the function signatures and the enumerators below are
// relied on, both fixed by libuv's promise of ABI stability within major version 1.

#ifndef VGPU_NATIVE_UV_ABI_H
#define VGPU_NATIVE_UV_ABI_H

#include <cstddef>

extern "C" {

struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;

using uv_close_cb = void (*)(uv_handle_s*);
using uv_poll_cb = void (*)(uv_poll_s*, int status, int events);

size_t uv_handle_size(int handle_type);
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
int uv_poll_init(uv_loop_s* loop, uv_poll_s* handle, int fd);
int uv_poll_start(uv_poll_s* handle, int events, uv_poll_cb callback);
int uv_poll_stop(uv_poll_s* handle);
void uv_close(uv_handle_s* handle, uv_close_cb callback);
void uv_ref(uv_handle_s* handle);
void uv_unref(uv_handle_s* handle);
const char* uv_err_name(int error);
const char* uv_strerror(int error);

}  // extern "C"

namespace vgpu {

/// Position of `UV_POLL` in libuv's `uv_handle_type`.
inline constexpr int kUvHandlePoll = 8;
/// `UV_READABLE` of libuv's `uv_poll_event`.
inline constexpr int kUvReadable = 1;

}  // namespace vgpu

#endif
