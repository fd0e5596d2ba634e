#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh FILE.wgsl (or FILE.ptx): a C header on stdout that defines the file's text as FILE_wgsl.
set -eu
name=$(basename "$1" | tr '.-' '__')
printf '/* Made from %s; do not edit. */\nstatic const char %s[] =\n' "$(basename "$1")" "$name"
sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t"/' -e 's/$/\\n"/' "$1"
printf '\t;\n'
