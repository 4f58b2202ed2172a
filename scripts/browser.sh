#!/bin/sh
# The tests of pages drive Chromium. Install it when root on Debian; else say how: they are skipped without it.
set -eu

command -v chromium >/dev/null 2>&1 && exit 0
command -v chromium-browser >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the tests of pages" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "no chromium: the tests of pages are skipped (on Debian: sudo apt-get install -y chromium)" >&2
fi
