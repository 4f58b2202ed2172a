#!/bin/sh
# Open3D loads three system libraries at import. Install the missing ones when root on Debian; else say how.
set -eu

missing=""
for pair in libusb-1.0.so.0:libusb-1.0-0 libGL.so.1:libgl1 libgomp.so.1:libgomp1; do
    library=${pair%%:*}
    package=${pair##*:}
    # ldconfig lives in /sbin, which is not on every user's PATH.
    if ! PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q "$library"; then
        missing="$missing $package"
    fi
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing system libraries:$missing" >&2
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Open3D needs:$missing (on Debian or Ubuntu: sudo apt-get install -y$missing)" >&2
fi
