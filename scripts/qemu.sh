#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Starts one guest. The shell becomes QEMU, so that a signal to this process is one to QEMU.

set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/common.sh
. "$scripts/lib/common.sh"
# shellcheck source=scripts/env.sh
. "$scripts/env.sh"
# shellcheck source=scripts/lib/accel.sh
. "$scripts/lib/accel.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/qemu.sh [option…] [-- QEMU-ARGUMENT…]

  --initrd FILE      initramfs (scripts/guest-image.sh makes one)
  --memory SIZE      guest memory, as QEMU takes it (default 1G)
  --cpus N           virtual CPUs (default 2)
  --vgpu PATH        attaches a vGPU: the vhost-user socket of vgpud or vgpu-instance; repeatable
  --append TEXT      appended to the kernel command line
  --console FILE     where the first serial port (kernel messages) goes; default: this terminal
  --report FILE      where the second serial port (output of the guest's programs) goes;
                     default: this terminal
  --name NAME        the guest's name (default guest)
  --accel kvm|tcg    default: KVM where a guest kernel really starts with it, else TCG
  --print            prints the command instead of running it
TEXT
}

initrd='' memory=1G cpus=2 sockets=() append='' console=stdio report=stdio name=guest accel=''
print=no
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --print)
      print=yes
      shift
      continue
      ;;
    --)
      shift
      break
      ;;
    --initrd | --memory | --cpus | --vgpu | --append | --console | --report | --name | --accel)
      [ $# -ge 2 ] || vgpu_die "$1 needs a value"
      ;;
    *) vgpu_die "scripts/qemu.sh does not know the argument: $1" ;;
  esac
  case $1 in
    --initrd) initrd=$2 ;;
    --memory) memory=$2 ;;
    --cpus) cpus=$2 ;;
    --vgpu) sockets+=("$2") ;;
    --append) append=$2 ;;
    --console) console=$2 ;;
    --report) report=$2 ;;
    --name) name=$2 ;;
    --accel) accel=$2 ;;
  esac
  shift 2
done

[ -f "$initrd" ] || vgpu_die "--initrd: there is no file ${initrd:-(none given)}"
[[ $memory =~ ^[0-9]+[MG]$ ]] || vgpu_die "--memory is $memory; it is a number with M or G"
[[ $cpus =~ ^[1-9][0-9]*$ ]] || vgpu_die "--cpus is $cpus; it is a positive number"
if [ -z "$accel" ]; then accel=$(vgpu_accel); fi

command=(
  "$VGPU_QEMU" -name "$name" -nodefaults -no-user-config -no-reboot -display none
  # Guest memory is a shared file: the device maps the same pages.
  -object "memory-backend-memfd,id=memory,size=$memory,share=on"
  -machine q35,memory-backend=memory -m "$memory" -smp "$cpus"
  -kernel "$VGPU_GUEST_KERNEL" -initrd "$initrd"
  -append "console=ttyS0 quiet loglevel=4 panic=-1 $append"
)
case $accel in
  kvm) command+=(-accel kvm -cpu host) ;;
  tcg) command+=(-accel "tcg,thread=multi" -cpu "max,la57=off") ;;
  *) vgpu_die "--accel is $accel; it is kvm or tcg" ;;
esac

# serial ID TARGET: a serial port on a file or on this terminal, which both ports may share.
stdio_used=no
serial() {
  if [ "$2" != stdio ]; then
    command+=(-chardev "file,id=$1,path=$2")
    command+=(-serial "chardev:$1")
    return
  fi
  if [ "$stdio_used" = no ]; then
    local mux=off
    if [ "$console" = stdio ] && [ "$report" = stdio ]; then mux=on; fi
    command+=(-chardev "stdio,id=terminal,mux=$mux,signal=on")
    stdio_used=yes
  fi
  command+=(-serial chardev:terminal)
}
serial console "$console"
serial report "$report"

number=0
for socket in "${sockets[@]}"; do
  command+=(
    -chardev "socket,id=vgpu$number,path=$socket"
    -device "vhost-user-test-device-pci,virtio-id=38,num_vqs=3,vq_size=256,config_size=256,chardev=vgpu$number"
  )
  number=$((number + 1))
done
command+=("$@")

if [ "$print" = yes ]; then
  printf '%q ' "${command[@]}"
  printf '\n'
  exit 0
fi
exec "${command[@]}"
