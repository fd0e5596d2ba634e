# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Whether KVM works here, found out by booting the guests' kernel with it: /dev/kvm exists on
# machines where no guest ever starts (nested virtualisation that is half there). The answer holds
# until the host boots again.

# Prints kvm or tcg.
vgpu_accel() {
  vgpu_known_accel || {
    vgpu_find_accel >/dev/null 2>&1
    vgpu_known_accel
  }
}

vgpu_accel_key() {
  printf '%s %s %s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$VGPU_QEMU" \
    "$(readlink -f "$VGPU_GUEST_KERNEL")"
}

# Prints the answer if it is known; fails if not.
vgpu_known_accel() {
  local key answer
  key=$(vgpu_accel_key)
  answer=$(sed -n "s|^$key ||p" "$VGPU_CACHE/accel" 2>/dev/null) || true
  [ -n "$answer" ] && printf '%s\n' "$answer"
}

vgpu_find_accel() {
  if vgpu_known_accel >/dev/null; then return 0; fi
  vgpu_step "finding out whether KVM starts a guest here" vgpu_probe_accel
  vgpu_say "  guests run under $(vgpu_known_accel)"
}

vgpu_probe_accel() {
  local answer=tcg
  if [ -r /dev/kvm ] && [ -w /dev/kvm ] && vgpu_boots_with_kvm; then answer=kvm; fi
  printf '%s %s\n' "$(vgpu_accel_key)" "$answer" >"$VGPU_CACHE/accel.$$"
  mv "$VGPU_CACHE/accel.$$" "$VGPU_CACHE/accel"
}

# Boots a guest whose first process prints one word. A guest that works does so within a second or
# two; one that does not hangs, or ends at once.
vgpu_boots_with_kvm() {
  local dir status=1
  dir=$(mktemp -d)
  mkdir -p "$dir/root/bin" "$dir/root/dev"
  cp "$(command -v busybox)" "$dir/root/bin/busybox"
  printf '%s\n' '#!/bin/busybox sh' '/bin/busybox mount -t devtmpfs d /dev' \
    '/bin/busybox echo kvm-guest-started >/dev/ttyS0' '/bin/busybox poweroff -f' >"$dir/root/init"
  chmod 755 "$dir/root/init"
  (cd "$dir/root" && find . | cpio --create --format=newc --quiet) >"$dir/initrd"
  timeout --kill-after=1 10 "$VGPU_QEMU" -nodefaults -no-user-config -no-reboot -display none \
    -accel kvm -cpu host -machine q35 -m 256M -kernel "$VGPU_GUEST_KERNEL" -initrd "$dir/initrd" \
    -append "console=ttyS0 quiet panic=-1" -serial "file:$dir/console" >/dev/null 2>&1 </dev/null ||
    true
  if grep -q kvm-guest-started "$dir/console" 2>/dev/null; then status=0; fi
  rm -rf "$dir"
  return "$status"
}
