#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the initramfs that the demo's and the tests' guests boot: busybox, the kernel's virtio
# modules, virtio_vgpu.ko, programs with the shared libraries they load, and scripts/guest-init.
# One image serves every guest: what a guest runs stands on its kernel command line.

set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/common.sh
. "$scripts/lib/common.sh"
# shellcheck source=scripts/env.sh
. "$scripts/env.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/guest-image.sh --output FILE [--module FILE.ko]… [--program FILE]… [--library FILE]…

  --output FILE     the initramfs to write (gzip)
  --module FILE     a kernel module to load after virtio_pci, in the order given
  --program FILE    a program to put into /opt/vgpu/bin, with the shared libraries it loads
  --library FILE    a shared library to put into /opt/vgpu/lib, for the programs
TEXT
}

output='' modules=() programs=() libraries=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --output | --module | --program | --library)
      [ $# -ge 2 ] || vgpu_die "$1 needs a value"
      case $1 in
        --output) output=$2 ;;
        --module) modules+=("$2") ;;
        --program) programs+=("$2") ;;
        --library) libraries+=("$2") ;;
      esac
      if [ "$1" != --output ] && [ ! -f "$2" ]; then vgpu_die "$1: there is no file $2"; fi
      shift 2
      ;;
    *) vgpu_die "scripts/guest-image.sh does not know the argument: $1" ;;
  esac
done
[ -n "$output" ] || vgpu_die "--output is missing"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The kernel's own module NAME and, before it, what it depends on, in /lib/modules, once each;
# its file name goes to the list that init loads in order.
add_kernel_module() {
  local name=$1 file dependency target
  file=$(find "$VGPU_GUEST_KERNEL_MODULES/" -name "$name.ko*" -o -name "${name//_/-}.ko*" |
    head -n 1)
  # A module that the kernel has built in has no file.
  [ -n "$file" ] || return 0
  target=$root/lib/modules/$name.ko
  [ ! -e "$target" ] || return 0
  for dependency in $(modinfo -F depends "$file" | tr ',' ' '); do
    add_kernel_module "$dependency"
  done
  case $file in
    *.xz) xz --decompress --stdout "$file" >"$target" ;;
    *.zst) zstd --quiet --decompress --stdout "$file" >"$target" ;;
    *) cp "$file" "$target" ;;
  esac
  printf '%s\n' "$name.ko" >>"$root/lib/modules/order"
}

add_own_module() {
  local file=$1 dependency
  for dependency in $(modinfo -F depends "$file" | tr ',' ' '); do
    add_kernel_module "$dependency"
  done
  cp "$file" "$root/lib/modules/"
  strip --strip-debug "$root/lib/modules/${file##*/}"
  printf '%s\n' "${file##*/}" >>"$root/lib/modules/order"
}

# The libraries that a program loads keep their absolute paths, the project's own are found by
# LD_LIBRARY_PATH; the dynamic linker's path is part of the program.
add_program() {
  local program=$1 path
  cp "$program" "$root/opt/vgpu/bin/"
  LD_LIBRARY_PATH=$own_libraries ldd "$program" >"$root/.ldd" 2>&1 || return 0
  if grep 'not found' "$root/.ldd" >&2; then
    vgpu_die "the program $program loads a library that is not there"
  fi
  grep -oE '/[^ ]+' "$root/.ldd" | while read -r path; do
    case ":$own_libraries:" in *":${path%/*}:"*) continue ;; esac
    [ -e "$root$path" ] || install -D "$path" "$root$path"
  done
}

mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,run,lib/modules,opt/vgpu/bin,opt/vgpu/lib}
: >"$root/lib/modules/order"
busybox=$(command -v busybox) || vgpu_die "busybox is missing (package busybox-static)"
cp "$busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
install -m 755 "$scripts/guest-init" "$root/init"

add_kernel_module virtio_pci
for module in "${modules[@]}"; do add_own_module "$module"; done

own_libraries=''
for library in "${libraries[@]}"; do
  cp --dereference "$library" "$root/opt/vgpu/lib/"
  directory=$(cd "$(dirname "$library")" && pwd)
  own_libraries=$own_libraries${own_libraries:+:}$directory
  soname=$(objdump -p "$library" 2>/dev/null | awk '$1 == "SONAME" { print $2 }')
  if [ -n "$soname" ] && [ ! -e "$root/opt/vgpu/lib/$soname" ]; then
    ln -s "${library##*/}" "$root/opt/vgpu/lib/$soname"
  fi
done
for program in "${programs[@]}"; do add_program "$program"; done
rm -f "$root/.ldd"

mkdir -p "$(dirname "$output")"
(cd "$root" && find . -print0 | LC_ALL=C sort -z |
  cpio --null --create --format=newc --owner=0:0 --quiet) | gzip -1 >"$output.tmp.$$"
mv "$output.tmp.$$" "$output"
