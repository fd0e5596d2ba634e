# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian packages, in two ways. Tools that belong to a developer's machine (compiler, make,
# busybox) are installed by apt. What must not disturb the machine (a newer Mesa, QEMU from
# testing, a kernel that is only booted in guests) is downloaded and unpacked into the cache by an
# apt that has its own state directory: signatures are checked as ever, nothing is installed, and
# the mirror is the one in the machine's own sources.

VGPU_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Sets VGPU_RELEASE ("12") and VGPU_CODENAME ("bookworm"), or refuses the machine.
vgpu_debian_release() {
  local distro
  [ -r /etc/os-release ] || vgpu_die "this is no Debian: /etc/os-release is missing"
  # shellcheck disable=SC1091
  distro=$(. /etc/os-release && printf %s "${ID:-unknown}")
  # shellcheck disable=SC1091
  VGPU_RELEASE=$(. /etc/os-release && printf %s "${VERSION_ID:-0}")
  # shellcheck disable=SC1091
  VGPU_CODENAME=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
  if [ "$distro" != debian ] || { [ "$VGPU_RELEASE" != 12 ] && [ "$VGPU_RELEASE" != 13 ]; }; then
    vgpu_die "set-up knows Debian 12 and 13, this is $distro $VGPU_RELEASE"
  fi
  [ "$(uname -m)" = x86_64 ] || vgpu_die "set-up knows x86_64 machines, this is $(uname -m)"
}

# The mirror of this release's main archive, from the machine's own apt sources.
vgpu_mirror() {
  local mirror
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 2>/dev/null |
    awk -v r="$VGPU_CODENAME" '($2 == r || $2 == "stable") && $3 == "main" { print $1; exit }')
  [ -n "$mirror" ] ||
    vgpu_die "the machine's apt sources name no main archive of Debian $VGPU_CODENAME"
  printf '%s\n' "$mirror"
}

vgpu_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# vgpu_install_missing PACKAGE…: installs by apt what is missing; without root it names the
# commands and stops.
vgpu_install_missing() {
  local package missing=()
  for package in "$@"; do
    vgpu_installed "$package" || missing+=("$package")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    vgpu_say "Debian packages are missing, and set-up does not run as root. Run these, then again:"
    vgpu_say ""
    vgpu_say "  sudo apt-get update"
    vgpu_say "  sudo apt-get install --no-install-recommends ${missing[*]}"
    exit 1
  fi
  vgpu_with_lock apt vgpu_install_as_root "${missing[@]}"
}

vgpu_install_as_root() {
  local apt=(apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  vgpu_step "Debian package lists" "${apt[@]}" update || vgpu_die "apt-get update fails"
  vgpu_step "Debian packages $*" "${apt[@]}" install --no-install-recommends "$@" ||
    vgpu_die "apt-get install fails for: $*"
}

# vgpu_private_apt DIR SUITE…: writes an apt configuration whose state lies below DIR, for the
# given suites of the machine's mirror, and loads their lists. The package database is empty, so
# that a download brings every dependency, whatever this machine has installed.
vgpu_private_apt() {
  local dir=$1 mirror suite
  shift
  mirror=$(vgpu_mirror) || exit 1
  [ -r "$VGPU_KEYRING" ] || vgpu_die "the package debian-archive-keyring is missing"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/sources.d" "$dir/preferences.d"
  : >"$dir/status"
  for suite in "$@"; do
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$VGPU_KEYRING" "$mirror" "$suite"
  done >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
Dir::State "$dir";
Dir::State::status "$dir/status";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "$dir/sources.d";
Dir::Etc::PreferencesParts "$dir/preferences.d";
Dir::Log "$dir";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
  APT_CONFIG=$dir/apt.conf apt-get -q update
}

# vgpu_unpack APT-DIR INTO PACKAGE…: downloads the packages with all that they depend on, and
# unpacks them below INTO. Maintainer scripts do not run.
vgpu_unpack() {
  local dir=$1 into=$2
  shift 2
  APT_CONFIG=$dir/apt.conf apt-get -q -y --download-only install "$@"
  vgpu_extract "$dir" "$into"
}

# vgpu_unpack_only APT-DIR INTO PACKAGE…: the same without dependencies.
vgpu_unpack_only() {
  local dir=$1 into=$2
  shift 2
  (cd "$dir/cache/archives" && APT_CONFIG=$dir/apt.conf apt-get -q download "$@")
  vgpu_extract "$dir" "$into"
}

vgpu_extract() {
  local dir=$1 into=$2 deb
  mkdir -p "$into"
  for deb in "$dir"/cache/archives/*.deb; do
    dpkg-deb --extract "$deb" "$into"
    rm -f "$deb"
  done
}
