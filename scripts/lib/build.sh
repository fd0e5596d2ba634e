# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What set-up builds inside the clone. Each step is skipped while the files that it is made from
# are the same, seen by name, size and time: asking the compilers themselves would take longer
# than the five seconds that a second set-up may.

# vgpu_fresh STAMP OUTPUT PATH…: whether OUTPUT exists and was made from these paths as they are.
vgpu_fresh() {
  local stamp=$1 output=$2
  shift 2
  [ -e "$output" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(vgpu_fingerprint "$@")" ]
}

vgpu_fingerprint() {
  find "$@" -type f \( -name '*.o' -o -name '*.ko' -o -name '*.mod*' -o -name '.*' \
    -o -name '*.symvers' -o -name 'modules.order' -o -path '*/build/*' \) -prune \
    -o -type f -printf '%p %s %T@\n' 2>/dev/null | LC_ALL=C sort | sha256sum
}

# npm packages, by the lock file. A node_modules that is a symbolic link is another clone's.
vgpu_npm_packages() {
  local stamp=node_modules/.vgpu-lock wanted
  if [ -L node_modules ]; then return 0; fi
  wanted=$(sha256sum <package-lock.json)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  if [ ! -f "$stamp" ] && [ node_modules/.package-lock.json -nt package-lock.json ]; then
    printf '%s\n' "$wanted" >"$stamp"
    return 0
  fi
  vgpu_step "npm packages" npm ci --ignore-scripts --no-audit --no-fund ||
    vgpu_die "npm ci fails"
  printf '%s\n' "$wanted" >"$stamp"
}

vgpu_build_all() {
  mkdir -p build
  if [ -f scripts/build-addon.mjs ]; then
    vgpu_build_one addon build/Release scripts/build-addon.mjs native package-lock.json -- \
      node scripts/build-addon.mjs
  fi
  if [ -n "$(find src -name "*.ts" -print -quit 2>/dev/null)" ]; then
    vgpu_build_one "TypeScript" dist/programs src spec scripts/bundle.mjs scripts/lib/code-cache.mjs \
      package-lock.json tsconfig.json tsconfig.build.json -- npm run --silent build
  fi
  vgpu_build_one "guest-module" guest-driver/kernel/virtio_vgpu.ko \
    guest-driver/kernel guest-driver/include "$VGPU_CACHE/kernel/version" -- \
    make -s -C guest-driver kernel KDIR="$VGPU_GUEST_HEADERS"
  local targets=(libvgpu)
  if [ -f guest-driver/examples/Makefile ]; then targets+=(examples); fi
  vgpu_build_one "libvgpu, CUDA's libraries and examples" guest-driver/build/lib/libvgpu.so \
    guest-driver/libvgpu guest-driver/cuda guest-driver/examples guest-driver/include -- make -s -C guest-driver "${targets[@]}"
}

# vgpu_build_one NAME OUTPUT SOURCE… -- COMMAND…
vgpu_build_one() {
  local name=$1 output=$2 sources=() stamp
  shift 2
  while [ "$1" != -- ]; do
    if [ -e "$1" ]; then sources+=("$1"); fi
    shift
  done
  shift
  stamp=build/.made-${name%% *}
  if vgpu_fresh "$stamp" "$output" "${sources[@]}"; then return 0; fi
  vgpu_step "$name" "$@" || vgpu_die "the build of $name fails"
  vgpu_fingerprint "${sources[@]}" >"$stamp"
}
