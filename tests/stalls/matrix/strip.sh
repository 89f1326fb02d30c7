#!/bin/sh
# Notes where a function lies, and strips the program: strip.sh NM STRIP PROGRAM FUNCTION
set -e
"$1" -S "$3" | sed -n "s/^\([0-9a-f]*\) \([0-9a-f]*\) . $4\$/\1 \2/p" > "$3.offset"
test -s "$3.offset"
"$2" "$3"
