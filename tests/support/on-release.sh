#!/bin/sh
# Runs `make test` on another release of Debian: with its Python, OpenVPN, bpftrace and systemd, on this kernel. As root.
# What is tested is the last commit, in a root folder that debootstrap makes once, and in namespaces of its own.
#
#   tests/support/on-release.sh RELEASE [TARGET...]
set -eu
release=${1:?usage: on-release.sh RELEASE [TARGET...]}
shift
here=$(cd "$(dirname "$0")/../.." && pwd)
root=$here/.tools/release-$release

if [ ! -e "$root/made" ]; then
    rm -rf "$root"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Component: main' | head -n 1)
    mkdir -p "$root"
    # systemd-sysv before `make tools` chooses another init.
    debootstrap --variant=minbase --include=ca-certificates,dbus,gcc,git,libc6-dev,make,procps,python3-dev,python3-venv,systemd-sysv \
        "$release" "$root" "$mirror"
    touch "$root/made"
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then cp -L "$file" "$root$file"; fi
done

apt-config dump | grep '^Acquire::' > "$root/etc/apt/apt.conf.d/90host"  # proxies and the like

exec unshare --mount --ipc sh -euc '
cd "$1"
shift
mount --bind . .
cd "$PWD"
mkdir -p source old
mount --bind "$1" source
shift
mount --bind /proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount -t tracefs tracefs sys/kernel/tracing
pivot_root . old
umount --lazy /old
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir /run/lock /run/netns
cd /srv
rm -rf checkout.new
git -c safe.directory=/source/.git clone --quiet /source checkout.new
if [ -d checkout ]; then mv checkout/.venv checkout/.tools checkout.new 2> /dev/null || true; fi
rm -rf checkout
mv checkout.new checkout
cd checkout
make tools
make "${@:-test}"
' sh "$root" "$here" "$@"
