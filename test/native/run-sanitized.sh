#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the addon's tests on a build with the address and undefined-behaviour sanitizers. Node itself
# is not instrumented, so the runtimes are preloaded; leaks are not looked for, since Node frees
# little at exit.
set -euo pipefail
cd "$(dirname "$0")/../.."
node scripts/build-addon.mjs --sanitize
libraries="$("${CXX:-g++}" -print-file-name=libasan.so) $("${CXX:-g++}" -print-file-name=libubsan.so)"
LD_PRELOAD="$libraries" ASAN_OPTIONS=detect_leaks=0 \
  VGPU_ADDON="$PWD/build/asan/Release/vgpu_native.node" \
  node node_modules/vitest/vitest.mjs run test/native test/unit/io "$@"
