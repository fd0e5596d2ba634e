{
  "variables": {
    "vgpu_sources": [
      "native/addon.cc",
      "native/descriptors.cc",
      "native/gpu-memory.cc",
      "native/mapping.cc",
      "native/poller.cc",
      "native/preload.cc",
      "native/process.cc",
      "native/sigbus.cc",
      "native/sockets.cc",
      "native/support.cc",
      "native/words.cc"
    ],
    "vgpu_launch_sources": [
      "native/launcher-landlock.cc",
      "native/launcher-seccomp.cc",
      "native/launcher.cc"
    ],
    "vgpu_headers": [
      "native/launcher.h",
      "native/mapping.h",
      "native/sigbus.h",
      "native/support.h",
      "native/uv_abi.h"
    ],
    "vgpu_cflags": [
      "-std=c++20",
      "-Wall",
      "-Wextra",
      "-Wshadow",
      "-Werror",
      "-fvisibility=hidden",
      "-fvisibility-inlines-hidden",
      "-fno-strict-aliasing",
      "-fstack-protector-strong"
    ],
    "vgpu_ldflags": ["-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now"],
    "vgpu_defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "_GNU_SOURCE"]
  }
}
