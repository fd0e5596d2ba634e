# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared by all scripts here: where the cache is, how progress and failures are reported, and how
# a part gets into the cache. Parts are built in a temporary directory and renamed into place, so
# that a reader sees either nothing or a whole part, and two clones can set up at the same time.

VGPU_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VGPU_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/para-vgpu

vgpu_say() { printf '%s\n' "$*" >&2; }

vgpu_die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# vgpu_step TEXT COMMAND…: runs the command with its output in a log and shows a line with the
# elapsed seconds, refreshed on a terminal and repeated every 15 s elsewhere, so that a long step
# never looks like a hang. The tail of the log is shown when the command fails.
vgpu_step() {
  local text=$1 log status=0 start=$SECONDS pid last=0 elapsed
  shift
  mkdir -p "$VGPU_CACHE/log"
  log=$(mktemp "$VGPU_CACHE/log/step.XXXXXX")
  if [ -t 2 ]; then printf '  %s …' "$text" >&2; else vgpu_say "  $text …"; fi
  ("$@") >"$log" 2>&1 </dev/null &
  pid=$!
  # Looked at ten times a second, so that a step of half a second costs no more than that.
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    elapsed=$((SECONDS - start))
    [ "$elapsed" -gt "$last" ] || continue
    if [ -t 2 ]; then
      printf '\r  %s … %d s' "$text" "$elapsed" >&2
      last=$elapsed
    elif [ $((elapsed - last)) -ge 15 ]; then
      vgpu_say "  $text … $elapsed s"
      last=$elapsed
    fi
  done
  wait "$pid" || status=$?
  elapsed=$((SECONDS - start))
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
  if [ "$status" -ne 0 ]; then
    vgpu_say "  $text: failed after $elapsed s (status $status)"
    tail -n 40 "$log" | sed 's/^/    | /' >&2
  else
    vgpu_say "  $text: done, $elapsed s"
  fi
  rm -f "$log"
  return "$status"
}

# vgpu_with_lock NAME COMMAND…: runs the command while no other process holds the lock of that
# name, and says so when it has to wait.
vgpu_with_lock() {
  local name=$1
  shift
  mkdir -p "$VGPU_CACHE/locks"
  (
    exec 9>"$VGPU_CACHE/locks/$name"
    if ! flock --nonblock 9; then
      vgpu_say "  waiting for another set-up on this machine ($name) …"
      flock 9
    fi
    "$@"
  )
}

# vgpu_part_ready PART RECIPE: whether the part is in the cache, built by this recipe.
vgpu_part_ready() {
  [ "$(cat "$VGPU_CACHE/$1/recipe" 2>/dev/null)" = "$2" ]
}

# vgpu_part_begin PART: prints a fresh directory to build the part in, on the cache's file system.
vgpu_part_begin() {
  mkdir -p "$VGPU_CACHE/tmp"
  mktemp -d "$VGPU_CACHE/tmp/$1.XXXXXX"
}

# vgpu_part_commit PART RECIPE DIR: puts the built directory in the part's place. The old one is
# moved aside first: processes that run from it keep their open files.
vgpu_part_commit() {
  local part=$1 recipe=$2 dir=$3 old
  printf '%s\n' "$recipe" >"$dir/recipe"
  chmod 755 "$dir"
  old=$(mktemp -d "$VGPU_CACHE/tmp/old.XXXXXX")
  if [ -e "$VGPU_CACHE/$part" ]; then mv "$VGPU_CACHE/$part" "$old/"; fi
  mv "$dir" "$VGPU_CACHE/$part"
  rm -rf "$old"
}
