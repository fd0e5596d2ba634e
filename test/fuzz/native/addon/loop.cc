// SPDX-License-Identifier: Apache-2.0
//
// The model's event loop: libuv's poll handles in the memory that the addon gives them, and what
// libuv asserts about them.

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "model.h"

extern "C" {

struct uv_loop_s {
  int unused;
};

struct uv_handle_s {
  void* data;
  void (*closed)(uv_handle_s*);
  void (*ready)(struct uv_poll_s*, int, int);
  int fd;
  int events;
  bool active;
  bool closing;
  bool referenced;
};

struct uv_poll_s {
  uv_handle_s handle;
};

}  // extern "C"

namespace {

std::vector<uv_handle_s*> g_handles;
uv_loop_s g_loop;

bool Exists(const uv_handle_s* handle) {
  return std::find(g_handles.begin(), g_handles.end(), handle) != g_handles.end();
}

}  // namespace

namespace model {

size_t LoopHandles() { return g_handles.size(); }

bool LoopAlive() {
  return std::any_of(g_handles.begin(), g_handles.end(),
                     [](const uv_handle_s* each) { return each->active && each->referenced; });
}

void LoopTurn() {
  const std::vector<uv_handle_s*> now = g_handles;
  for (uv_handle_s* handle : now) {
    if (!Exists(handle) || !handle->active) continue;
    pollfd entry{handle->fd, POLLIN, 0};
    // libFuzzer's own timer interrupts.
    while (::poll(&entry, 1, 0) < 0) PROMISE(errno == EINTR);
    // libuv aborts if a descriptor that it watches is gone.
    PROMISE((entry.revents & POLLNVAL) == 0);
    if (entry.revents != 0) handle->ready(reinterpret_cast<uv_poll_s*>(handle), 0, handle->events);
  }
  for (uv_handle_s* handle : now) {
    if (!Exists(handle) || !handle->closing) continue;
    std::erase(g_handles, handle);
    handle->closed(handle);
  }
}

}  // namespace model

extern "C" {

size_t uv_handle_size(int type) {
  PROMISE(type == 8);  // UV_POLL
  return sizeof(uv_poll_s);
}

int uv_poll_init(uv_loop_s*, uv_poll_s* poll, int fd) {
  if (::fcntl(fd, F_GETFD) < 0) return -errno;
  PROMISE(!Exists(&poll->handle));
  poll->handle = {nullptr, nullptr, nullptr, fd, 0, false, false, true};
  g_handles.push_back(&poll->handle);
  return 0;
}

int uv_poll_start(uv_poll_s* poll, int events, void (*ready)(uv_poll_s*, int, int)) {
  PROMISE(Exists(&poll->handle) && !poll->handle.closing);
  poll->handle.ready = ready;
  poll->handle.events = events;
  poll->handle.active = true;
  return 0;
}

int uv_poll_stop(uv_poll_s* poll) {
  PROMISE(Exists(&poll->handle) && !poll->handle.closing);
  PROMISE(::fcntl(poll->handle.fd, F_GETFD) >= 0);
  poll->handle.active = false;
  return 0;
}

void uv_close(uv_handle_s* handle, void (*closed)(uv_handle_s*)) {
  PROMISE(Exists(handle) && !handle->closing);
  handle->active = false;
  handle->closing = true;
  handle->closed = closed;
}

void uv_handle_set_data(uv_handle_s* handle, void* data) { handle->data = data; }
void* uv_handle_get_data(const uv_handle_s* handle) { return handle->data; }
void uv_ref(uv_handle_s* handle) {
  PROMISE(Exists(handle));
  handle->referenced = true;
}
void uv_unref(uv_handle_s* handle) {
  PROMISE(Exists(handle));
  handle->referenced = false;
}
const char* uv_err_name(int error) { return error == -EBADF ? "EBADF" : "EOTHER"; }
const char* uv_strerror(int error) { return std::strerror(-error); }

napi_status napi_get_uv_event_loop(node_api_basic_env, uv_loop_s** loop) {
  *loop = &g_loop;
  return napi_ok;
}

}  // extern "C"
