# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced. Exports what scripts/setup.sh found or put in the cache:
#
#   VGPU_QEMU                  a QEMU command that has the generic vhost-user device
#   VGPU_GUEST_KERNEL          the guests' kernel image
#   VGPU_GUEST_KERNEL_MODULES  its directory of modules (/lib/modules/VERSION)
#   VGPU_GUEST_HEADERS         its build directory, for make -C, to build modules of one's own
#   VGPU_SWIFTSHADER           a second Vulkan driver, for tests: its icd.json and lib/
#   VK_DRIVER_FILES, LD_LIBRARY_PATH   only where the cached Vulkan driver is to be used
#
# Values that are set already stay, so that any of them can be overridden.

_vgpu_machine_env=${XDG_CACHE_HOME:-$HOME/.cache}/para-vgpu/machine.env
if [ -r "$_vgpu_machine_env" ]; then
  # shellcheck disable=SC1090
  . "$_vgpu_machine_env"
  unset _vgpu_machine_env
else
  unset _vgpu_machine_env
  echo "error: this machine is not set up yet: run scripts/setup.sh first" >&2
  # shellcheck disable=SC2317
  return 1 2>/dev/null || exit 1
fi
