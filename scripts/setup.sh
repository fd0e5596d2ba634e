#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a fresh Debian 12 or 13 ready to build, test and run this project. It can be run any time:
# what is there stays, what is missing is added, and a second run downloads nothing. Whatever a
# distribution package manager should not touch goes to ${XDG_CACHE_HOME:-~/.cache}/para-vgpu,
# shared by all clones.

set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
# shellcheck source=scripts/lib/debian.sh
. scripts/lib/debian.sh
# shellcheck source=scripts/lib/parts.sh
. scripts/lib/parts.sh
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh
# shellcheck source=scripts/lib/accel.sh
. scripts/lib/accel.sh

usage() {
  cat <<'TEXT'
Usage: scripts/setup.sh [--help]

Installs what this project needs to build, test and run: npm packages, missing Debian packages
(as root; otherwise it names the commands and stops), and, in a cache of its own, a Vulkan driver
if the machine has none that works, a kernel for the guests, and QEMU 10.2 or newer if the
machine's is older. Then it builds the addon, the TypeScript sources and the guest's programs.

Source scripts/env.sh to use what it found.
TEXT
}

case $#:${1-} in
  0:) ;;
  1:--help | 1:-h)
    usage
    exit 0
    ;;
  *) vgpu_die "scripts/setup.sh does not know the argument: $*" ;;
esac

check_node() {
  local version
  command -v node >/dev/null || vgpu_die "node is missing: Node.js 20.17 or newer is needed"
  version=$(node --version)
  printf '%s\n%s\n' 20.17.0 "${version#v}" | sort --version-sort --check=quiet ||
    vgpu_die "Node.js is $version, 20.17 or newer is needed"
}

# The compiler and tools of the build, what the guest's image is made of, what the kernel's build
# system runs (bc, and libelf for its objtool), what the private apt needs to check signatures, and
# Vulkan's loader, without which a GPU's own driver would not be found.
debian_packages() {
  local elf=libelf1
  [ "$VGPU_RELEASE" = 12 ] || elf=libelf1t64
  vgpu_install_missing gcc g++ make cmake libc6-dev busybox-static cpio gzip xz-utils zstd \
    kmod bc "$elf" ca-certificates debian-archive-keyring git libvulkan1
}

# Whether the machine's own Vulkan drivers serve Dawn. The answer is kept as long as the set of
# drivers and devices stays the same.
system_driver_works() {
  local key
  key=$(
    {
      stat -c '%n %Y' /usr/share/vulkan/icd.d/* /etc/vulkan/icd.d/* \
        /usr/lib/x86_64-linux-gnu/libvulkan* /dev/dri/* /dev/nvidia* 2>/dev/null || true
      sha256sum <package-lock.json
    } | sha256sum
  )
  if [ "$(cat "$VGPU_CACHE/system-vulkan" 2>/dev/null)" = "$key yes" ]; then return 0; fi
  if [ "$(cat "$VGPU_CACHE/system-vulkan" 2>/dev/null)" = "$key no" ]; then return 1; fi
  if env -u VK_DRIVER_FILES -u VK_ICD_FILENAMES -u LD_LIBRARY_PATH \
    node scripts/lib/adapter.mjs >/dev/null 2>&1; then
    echo "$key yes" >"$VGPU_CACHE/system-vulkan"
  else
    echo "$key no" >"$VGPU_CACHE/system-vulkan"
    return 1
  fi
}

machine_parts() {
  local system_vulkan=yes qemu=qemu-system-x86_64 part=$VGPU_CACHE/vulkan tmp
  system_driver_works || system_vulkan=no
  if [ "$system_vulkan" = no ]; then vgpu_make_vulkan; fi
  vgpu_make_swiftshader
  vgpu_make_kernel
  if ! vgpu_qemu_fits "$qemu"; then
    vgpu_make_qemu
    qemu=$VGPU_CACHE/qemu/qemu-system-x86_64.sh
  fi
  tmp=$(mktemp "$VGPU_CACHE/machine.env.XXXXXX")
  {
    printf '# Written by scripts/setup.sh; do not edit.\n'
    printf 'export VGPU_QEMU="${VGPU_QEMU:-%s}"\n' "$qemu"
    printf 'export VGPU_GUEST_KERNEL="${VGPU_GUEST_KERNEL:-%s}"\n' "$VGPU_CACHE/kernel/vmlinuz"
    printf 'export VGPU_GUEST_KERNEL_MODULES="${VGPU_GUEST_KERNEL_MODULES:-%s}"\n' \
      "$(realpath "$VGPU_CACHE/kernel/modules")"
    printf 'export VGPU_GUEST_HEADERS="${VGPU_GUEST_HEADERS:-%s}"\n' \
      "$(realpath "$VGPU_CACHE/kernel/headers")"
    if [ -r "$VGPU_CACHE/swiftshader/icd.json" ]; then
      printf 'export VGPU_SWIFTSHADER="${VGPU_SWIFTSHADER:-%s}"\n' "$VGPU_CACHE/swiftshader"
    fi
    if [ "$system_vulkan" = no ]; then
      printf 'if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then\n'
      printf '  export VK_DRIVER_FILES="%s"\n' "$part/icd.json"
      printf '  export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$part/lib"
      printf 'fi\n'
    fi
  } >"$tmp"
  if [ "$system_vulkan" = no ]; then
    vgpu_say "  Vulkan: a software driver in the cache; this machine's own drivers do not serve Dawn"
  fi
  chmod 644 "$tmp"
  mv "$tmp" "$VGPU_CACHE/machine.env"
}

main() {
  local start=$SECONDS
  vgpu_say "set-up:"
  vgpu_debian_release
  check_node
  debian_packages
  mkdir -p "$VGPU_CACHE"
  vgpu_with_lock "clone-$(printf %s "$VGPU_ROOT" | sha256sum | cut -c 1-16)" vgpu_npm_packages
  vgpu_with_lock machine machine_parts
  # shellcheck source=scripts/env.sh
  . scripts/env.sh
  vgpu_with_lock machine vgpu_find_accel
  vgpu_with_lock "clone-$(printf %s "$VGPU_ROOT" | sha256sum | cut -c 1-16)" vgpu_build_all
  vgpu_say "set-up: done, $((SECONDS - start)) s"
}

main
