# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The cached parts: a software Vulkan driver, the guests' kernel with the headers that an
# out-of-tree module needs, and QEMU. Each part is relocatable (no absolute path of Debian's own
# layout is left in it), needs no root, and holds only what it needs: an unpacked closure is
# reduced to the shared libraries that the dynamic linker really asks for.
#
# A recipe is a version of the code here: raise it when a function's result changes.

VGPU_VULKAN_RECIPE=1
VGPU_KERNEL_RECIPE=1
VGPU_QEMU_RECIPE=1
VGPU_SWIFTSHADER_RECIPE=1

VGPU_LIBDIR=usr/lib/x86_64-linux-gnu

# vgpu_strict FUNCTION ARGUMENT…: runs a function of these files in a shell of its own that stops
# at the first error, which bash does not do inside a condition.
vgpu_strict() {
  export VGPU_RELEASE VGPU_CODENAME
  bash -euo pipefail -c '. "$0/common.sh"; . "$0/debian.sh"; . "$0/parts.sh"; "$@"' \
    "$VGPU_ROOT/scripts/lib" "$@"
}

# vgpu_copy_libraries FROM TO BINARY…: copies to TO the libraries below FROM that the binaries
# load. The C and C++ run-time libraries stay the system's: they come from the same release, and
# a process of the system loads these libraries beside its own.
vgpu_copy_libraries() {
  local from=$1 to=$2 path
  shift 2
  mkdir -p "$to"
  LD_LIBRARY_PATH=$from/$VGPU_LIBDIR ldd "$@" >"$to/.ldd"
  if grep 'not found' "$to/.ldd"; then
    echo "libraries are missing from the downloaded packages" >&2
    return 1
  fi
  awk '$2 == "=>" { print $3 }' "$to/.ldd" | sort -u | while read -r path; do
    case $path in "$from"/*) ;; *) continue ;; esac
    case ${path##*/} in
      libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libstdc++.so.* | libgcc_s.so.*) ;;
      *) cp --dereference "$path" "$to/${path##*/}" ;;
    esac
  done
  rm "$to/.ldd"
}

# --- Vulkan ------------------------------------------------------------------------------------

# Lavapipe, the CPU driver of Mesa: Dawn refuses Debian 12's own (22.3), so backports there.
vgpu_build_lavapipe() {
  local dir=$1 suites target=()
  suites=("$VGPU_CODENAME")
  if [ "$VGPU_RELEASE" = 12 ]; then
    suites+=("$VGPU_CODENAME-backports")
    target=(--target-release "$VGPU_CODENAME-backports")
  fi
  vgpu_private_apt "$dir/apt" "${suites[@]}"
  vgpu_unpack "$dir/apt" "$dir/unpacked" "${target[@]}" mesa-vulkan-drivers libvulkan1
  vgpu_reduce_driver "$dir" "$dir/unpacked/$VGPU_LIBDIR" libvulkan_lvp.so
}

# SwiftShader, which Debian ships inside Chromium: the second choice, slower by some factor.
vgpu_build_swiftshader() {
  local dir=$1
  vgpu_private_apt "$dir/apt" "$VGPU_CODENAME"
  vgpu_unpack_only "$dir/apt" "$dir/unpacked" chromium-common
  vgpu_unpack "$dir/apt" "$dir/unpacked" libvulkan1
  vgpu_reduce_driver "$dir" "$dir/unpacked/usr/lib/chromium" libvk_swiftshader.so
}

# The second driver that the CUDA kernels are tested on. Tests without it say so: a set-up that can't
# get it goes on.
vgpu_make_swiftshader() {
  local recipe=$VGPU_RELEASE/$VGPU_SWIFTSHADER_RECIPE
  vgpu_part_ready swiftshader "$recipe" && return 0
  vgpu_step "a second Vulkan driver for tests (SwiftShader)" \
    vgpu_build_part swiftshader "$recipe" vgpu_build_swiftshader ||
    vgpu_say "  SwiftShader is not to be had: tests that need it are left out"
}

# vgpu_reduce_driver DIR LIBRARY-DIR DRIVER: leaves in DIR only lib/ (driver, loader and what they
# load) and the manifest, whose path is relative: the loader resolves one that contains a slash
# against the manifest's own place.
vgpu_reduce_driver() {
  local dir=$1 from=$2 driver=$3
  vgpu_copy_libraries "$dir/unpacked" "$dir/lib" "$from/$driver" \
    "$dir/unpacked/$VGPU_LIBDIR/libvulkan.so.1"
  cp --dereference "$from/$driver" "$dir/unpacked/$VGPU_LIBDIR/libvulkan.so.1" "$dir/lib/"
  cat >"$dir/icd.json" <<JSON
{
  "file_format_version": "1.0.0",
  "ICD": { "library_path": "./lib/$driver", "api_version": "1.1.0" }
}
JSON
  rm -rf "${dir:?}/unpacked" "${dir:?}/apt"
}

# Fills the part with the first driver that works: installed, and accepted by Dawn.
vgpu_make_vulkan() {
  local recipe=$VGPU_RELEASE/$VGPU_VULKAN_RECIPE
  vgpu_part_ready vulkan "$recipe" && return 0
  if vgpu_step "Vulkan driver for the CPU (Mesa lavapipe)" \
    vgpu_build_part vulkan "$recipe" vgpu_build_lavapipe && vgpu_dawn_accepts_part; then
    return 0
  fi
  vgpu_say "  lavapipe does not work here; SwiftShader is tried instead"
  if vgpu_step "Vulkan driver for the CPU (SwiftShader)" \
    vgpu_build_part vulkan "$recipe" vgpu_build_swiftshader && vgpu_dawn_accepts_part; then
    return 0
  fi
  # Not kept, so that the next set-up tries again.
  rm -rf "${VGPU_CACHE:?}/vulkan"
  vgpu_die "no Vulkan driver: install one (Debian: mesa-vulkan-drivers, or the GPU vendor's)"
}

vgpu_dawn_accepts_part() {
  local reason
  reason=$(LD_LIBRARY_PATH=$VGPU_CACHE/vulkan/lib VK_DRIVER_FILES=$VGPU_CACHE/vulkan/icd.json \
    node "$VGPU_ROOT/scripts/lib/adapter.mjs" 2>&1) || {
    vgpu_say "$reason"
    return 1
  }
}

# --- guest kernel ------------------------------------------------------------------------------

# The names of the packages that PACKAGE depends on, one a line.
vgpu_depends() {
  APT_CONFIG=$1/apt.conf apt-cache depends --important "$2" | awk '$1 == "Depends:" { print $2 }'
}

vgpu_build_kernel() {
  local dir=$1 image version headers wanted
  vgpu_private_apt "$dir/apt" "$VGPU_CODENAME"
  image=$(vgpu_depends "$dir/apt" linux-image-cloud-amd64 | grep -m 1 '^linux-image-')
  version=${image#linux-image-}
  headers=linux-headers-$version
  wanted=$(vgpu_depends "$dir/apt" "$headers" | grep -E '^linux-(headers|kbuild)-' | sort -u)
  # shellcheck disable=SC2086
  vgpu_unpack_only "$dir/apt" "$dir" "$image" "$headers" $wanted
  rm -rf "${dir:?}/apt" "${dir:?}/usr/share" "${dir:?}/boot/System.map-$version"
  # Debian 13 has /lib inside /usr.
  if [ ! -d "$dir/lib" ]; then ln -s usr/lib "$dir/lib"; fi
  vgpu_relocate_headers "$dir" "$version"
  ln -s "boot/vmlinuz-$version" "$dir/vmlinuz"
  ln -s "lib/modules/$version" "$dir/modules"
  ln -s "usr/src/$headers" "$dir/headers"
  # Debian 13 ships the kernel's type information, and with it modules ask for pahole to have
  # theirs; without the file they are built without.
  rm -f "$dir/headers/vmlinux"
  printf '%s\n' "$version" >"$dir/version"
  vgpu_try_module "$dir"
}

# The headers' makefiles name each other below /usr/src; they are made to find each other by
# their own place. Symbolic links between them are relative already; absolute ones are mended.
vgpu_relocate_headers() {
  local dir=$1 version=$2 file link target
  # shellcheck disable=SC2016
  local here='$(dir $(realpath $(lastword $(MAKEFILE_LIST))))..'
  for file in "$dir/usr/src/linux-headers-$version/Makefile" \
    "$dir/usr/src/linux-headers-$version/.kernelvariables"; do
    if [ -f "$file" ]; then sed -i "s|/usr/src/linux-headers|$here/linux-headers|g" "$file"; fi
  done
  find "$dir" -type l -lname '/usr/*' | while read -r link; do
    target=$(readlink "$link")
    ln -sfnr "$dir$target" "$link"
  done
}

# Builds an empty module, which shows that headers, kbuild's tools and the compiler fit together.
vgpu_try_module() {
  local dir=$1 try=$1/try
  mkdir "$try"
  cat >"$try/probe.c" <<'C'
#include <linux/module.h>
#include <linux/virtio.h>
static int __init probe_init(void)
{
	return 0;
}
module_init(probe_init);
MODULE_DESCRIPTION("probe");
MODULE_LICENSE("GPL");
C
  printf 'obj-m += probe.o\n' >"$try/Makefile"
  make -C "$dir/headers/" M="$try" modules
  [ -s "$try/probe.ko" ]
  rm -rf "$try"
}

vgpu_build_part() {
  local part=$1 recipe=$2 builder=$3 dir
  dir=$(vgpu_part_begin "$part")
  if ! vgpu_strict "$builder" "$dir"; then
    rm -rf "$dir"
    return 1
  fi
  vgpu_part_commit "$part" "$recipe" "$dir"
}

vgpu_make_kernel() {
  local recipe=$VGPU_RELEASE/$VGPU_KERNEL_RECIPE
  vgpu_part_ready kernel "$recipe" && return 0
  vgpu_step "guest kernel and headers" vgpu_build_part kernel "$recipe" vgpu_build_kernel ||
    vgpu_die "the guest kernel cannot be prepared"
}

# --- QEMU --------------------------------------------------------------------------------------

# Whether COMMAND is a QEMU that can attach a generic vhost-user device (10.2 and newer).
vgpu_qemu_fits() {
  "$1" -machine none -device help 2>/dev/null </dev/null |
    grep -q '"vhost-user-test-device-pci"'
}

# QEMU of Debian testing, with the libraries and the dynamic linker of its own release, and a
# wrapper that starts it with them. So it runs on an older release without a chroot, as any user,
# with the file system and the sockets of its caller.
vgpu_build_qemu() {
  local dir=$1 lib
  vgpu_private_apt "$dir/apt" testing
  vgpu_unpack "$dir/apt" "$dir/unpacked" qemu-system-x86
  rm -rf "${dir:?}/apt"
  mkdir -p "$dir/lib" "$dir/share"
  lib=$dir/unpacked/$VGPU_LIBDIR
  cp --dereference "$lib/ld-linux-x86-64.so.2" "$dir/unpacked/usr/bin/qemu-system-x86_64" "$dir/"
  "$dir/ld-linux-x86-64.so.2" --library-path "$lib" --list "$dir/qemu-system-x86_64" |
    awk '$2 == "=>" { print $3 }' | while read -r lib; do
    cp --dereference "$lib" "$dir/lib/"
  done
  # Firmware is spread over several directories, and linked by absolute paths.
  for lib in seabios ipxe-qemu qemu; do
    [ -d "$dir/unpacked/usr/share/$lib" ] || continue
    find "$dir/unpacked/usr/share/$lib" "$dir/unpacked/usr/lib/ipxe" -maxdepth 2 -type f \
      \( -name '*.bin' -o -name '*.rom' \) -exec cp -n {} "$dir/share/" \; 2>/dev/null || true
  done
  rm -rf "${dir:?}/unpacked"
  cat >"$dir/qemu-system-x86_64.sh" <<'SH'
#!/bin/sh
# Starts this QEMU with the libraries and firmware beside it.
here=$(dirname "$(readlink -f "$0")")
unset LD_LIBRARY_PATH
QEMU_MODULE_DIR=$here/modules
export QEMU_MODULE_DIR
exec "$here/ld-linux-x86-64.so.2" --library-path "$here/lib" --argv0 qemu-system-x86_64 \
  "$here/qemu-system-x86_64" -L "$here/share" "$@"
SH
  chmod 755 "$dir/qemu-system-x86_64.sh"
  vgpu_qemu_fits "$dir/qemu-system-x86_64.sh"
}

vgpu_make_qemu() {
  vgpu_part_ready qemu "$VGPU_QEMU_RECIPE" && return 0
  vgpu_step "QEMU from Debian testing" \
    vgpu_build_part qemu "$VGPU_QEMU_RECIPE" vgpu_build_qemu ||
    vgpu_die "QEMU cannot be prepared"
}
