#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiles the project's own CUDA kernels to PTX and fat binaries with nvcc, where it is installed.
# The results are checked in, so that tests run without it; a test runs this with --check.
#
#   scripts/cuda-ptx.sh            writes test/cuda/ptx and test/cuda/fatbin
#   scripts/cuda-ptx.sh --check    says which of them differ from what nvcc makes now

set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest target that nvcc 13 knows, and the newest.
TARGETS=(75 121)
FATBINS=(reduce warp)

nvcc=${NVCC:-$(command -v nvcc || true)}
if [ -z "$nvcc" ]; then
  echo "nvcc is not installed (and NVCC is not set)" >&2
  exit 3
fi

# Another version words its PTX differently.
version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
if [ "${1-}" = --check ] && [ "$version" != 13.0 ]; then
  echo "nvcc is $version, and the files are made by 13.0" >&2
  exit 3
fi

case ${1-} in
  '') out=test/cuda ;;
  --check)
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    ;;
  *)
    echo "scripts/cuda-ptx.sh does not know the argument: $*" >&2
    exit 2
    ;;
esac
mkdir -p "$out/ptx" "$out/fatbin"

# Comments and blank lines are a fifth of what nvcc writes.
strip_comments() {
  sed -e '/^[[:space:]]*\/\//d' -e '/^[[:space:]]*$/d'
}

for source in test/cuda/kernels/*.cu; do
  name=$(basename "$source" .cu)
  for target in "${TARGETS[@]}"; do
    "$nvcc" -ptx "-arch=compute_$target" "$source" -o - | strip_comments \
      >"$out/ptx/$name.$target.ptx"
  done
done
for name in "${FATBINS[@]}"; do
  for mode in default none; do
    "$nvcc" -fatbin "--compress-mode=$mode" \
      "-gencode=arch=compute_75,code=compute_75" \
      "-gencode=arch=compute_75,code=sm_75" \
      "-gencode=arch=compute_121,code=compute_121" \
      "test/cuda/kernels/$name.cu" -o "$out/fatbin/$name.$mode.fatbin"
  done
done

if [ "$out" != test/cuda ]; then
  status=0
  for folder in ptx fatbin; do
    diff -rq "test/cuda/$folder" "$out/$folder" || status=1
  done
  exit $status
fi
