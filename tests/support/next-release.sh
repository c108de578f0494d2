#!/bin/sh
# Unpacks Prometheus 3 and the Alertmanager of its time out of Debian's next release into a folder, installing nothing:
# they run beside those that apt-get installed.
#
#   tests/support/next-release.sh FOLDER
set -eu
folder=${1:?usage: next-release.sh FOLDER}
release=forky

if [ -x "$folder/usr/bin/prometheus" ] && [ -x "$folder/usr/bin/promtool" ] && [ -x "$folder/usr/bin/amtool" ]; then
    exit 0
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Component: main' | head -n 1)
if [ -z "$mirror" ]; then
    echo "this is not Debian: the tests that need Prometheus 3 will be skipped" >&2
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > "$work/sources.list"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$folder"
apt() {
    apt-get -qq -o APT::Sandbox::User=root -o Dir::State::lists="$work/lists" -o Dir::Cache="$work" \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- "$@"
}
apt update
cd "$work/archives"
apt download prometheus promtool prometheus-alertmanager
cd "$OLDPWD"
for package in "$work"/archives/*.deb; do
    dpkg --extract "$package" "$folder"
done
