#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# npm test: set-up, lint, then all tests, with the guests. Arguments go to vitest. The last line is
# "N passed, N failed", whatever happens; the exit status is 0 only if nothing failed.

set -euo pipefail
cd "$(dirname "$0")/.."

# Without tests there is still a result: set-up or vitest itself failed.
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
fail() {
  echo "error: $1" >&2
  printf '\n0 passed, 1 failed\n'
  exit 1
}

bash scripts/setup.sh || fail "set-up fails, so no test runs"
# shellcheck source=scripts/env.sh
. scripts/env.sh

export VGPU_LINT=passed VGPU_TEST_SUMMARY=$summary
npm run --silent lint || VGPU_LINT=failed

status=0
npx vitest run "$@" || status=$?
[ -s "$summary" ] || fail "vitest ends with status $status before it reports"
if [ "$VGPU_LINT" = failed ] && [ "$status" -eq 0 ]; then status=1; fi
exit "$status"
