#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# npm run demo: set-up, then scripts/demo.ts. Arguments are checked here, before set-up takes its
# time.

set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

usage() {
  cat <<'TEXT'
Usage: npm run demo [-- OPTION…]

Shares one GPU between two guests: each runs the example programs (vector add, SGEMM, histogram,
training a digit classifier) through its own virtual GPU, and checks them against its own CPU.
Writes out/demo.json, the schedule as out/demo-trace.json (for Perfetto) and the shares over time as
out/demo-shares.svg, and exits 0 only if everything passes.

  --no-vm          two plain processes on this machine instead of two virtual machines
  --memory SIZE    memory of each virtual machine, for example 6G (default 1G)
  --help           this text
TEXT
}

arguments=("$@")
no_vm=no memory=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --no-vm)
      no_vm=yes
      shift
      ;;
    --memory)
      [ $# -ge 2 ] || vgpu_die "--memory needs a value, for example 6G"
      [[ $2 =~ ^[1-9][0-9]*[MG]$ ]] || vgpu_die "--memory is $2; it is a number with M or G"
      memory=$2
      shift 2
      ;;
    *) vgpu_die "the demo does not know the argument: $1 (see --help)" ;;
  esac
done
if [ "$no_vm" = yes ] && [ -n "$memory" ]; then
  vgpu_die "--memory is the virtual machines' and does not go with --no-vm"
fi

bash scripts/setup.sh
# shellcheck source=scripts/env.sh
. scripts/env.sh
exec node --import tsx scripts/demo.ts "${arguments[@]}"
