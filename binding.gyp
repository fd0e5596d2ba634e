# SPDX-License-Identifier: Apache-2.0
#
# For users of node-gyp (`node-gyp rebuild`). The usual build is CMakeLists.txt through
# scripts/build-addon.mjs, which needs no download; node-gyp fetches Node's own headers. Sources and
# flags come from native/sources.gypi for both.
{
  "includes": ["native/sources.gypi"],
  "targets": [
    {
      "target_name": "vgpu_native",
      "sources": ["<@(vgpu_sources)"],
      "ldflags": ["<@(vgpu_ldflags)"],
      "defines": ["<@(vgpu_defines)"],
      "cflags_cc": ["<@(vgpu_cflags)", "-isystem<!(node -p \"require('path').dirname(require.resolve('node-addon-api'))\")"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags!": ["-fno-exceptions"]
    },
    {
      "target_name": "vgpu-launch",
      "type": "executable",
      "sources": ["<@(vgpu_launch_sources)"],
      "defines": ["_GNU_SOURCE"],
      "cflags_cc": ["<@(vgpu_cflags)"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"]
    }
  ]
}
