#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# npm run --silent bench -- SUITE [--json FILE]: sets up what is missing (its progress on stderr),
# then runs the suite.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/setup.sh" >&2
# shellcheck source=scripts/env.sh
. "$root/scripts/env.sh"
exec "$root/node_modules/.bin/tsx" "$root/bench/run.ts" "$@"
