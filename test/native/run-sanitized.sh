#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the addon's tests on a build with the address and undefined-behaviour sanitizers, a fuzzer of
# whole sessions, and the addon's own fuzz target, without libFuzzer, on the same objects. Node itself is not instrumented, so the runtimes are preloaded; leaks are not
# looked for, since Node frees little at exit. Exit status 77: the runtimes are not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
libraries=
for name in libasan.so libubsan.so; do
  library=$("${CXX:-g++}" -print-file-name=$name)
  if [ "$library" = $name ]; then
    echo "$name is not installed (it comes with g++)" >&2
    exit 77
  fi
  libraries+="$library "
done
node scripts/build-addon.mjs --sanitize
export LD_PRELOAD=$libraries ASAN_OPTIONS=detect_leaks=0
export VGPU_ADDON="$PWD/build/asan/Release/vgpu_native.node"
# Not the launcher: it starts processes that nothing is preloaded into, with this addon.
tests=()
for file in test/native/*.test.ts; do
  case $file in */launcher.test.ts | */sanitized.test.ts) ;; *) tests+=("$file") ;; esac
done
node node_modules/vitest/vitest.mjs run --project unit "${tests[@]}"
node --import tsx test/fuzz/main.ts --target vhost-session --seconds 3
# A program of its own, which has its runtimes.
unset LD_PRELOAD ASAN_OPTIONS VGPU_ADDON
node --import tsx test/fuzz/main.ts --native --unguided --target addon --inputs 5000
