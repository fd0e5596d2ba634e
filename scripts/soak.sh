#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# npm run soak -- [--seconds N] [--seed N] [--json FILE]: sets up what is missing, then soaks.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/setup.sh" >&2
# shellcheck source=scripts/env.sh
. "$root/scripts/env.sh"
exec "$root/node_modules/.bin/tsx" "$root/test/soak/main.ts" "$@"
