#!/bin/bash
# Boots systemd in a throw-away root: this machine's files, and what is written stays in memory. Runs
# in namespaces of its own (unshare -mpfnC) and sees no network but its own loopback.
#   deb_boot.sh DIRECTORY PACKAGE SOURCE
set -eu

base=$1
package=$2
source=$3 # as it is in the tarball
root=$base/root

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$root"

# Nothing of the machine's kernel can be set from there: systemd leaves alone what it cannot write.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
	: > "$root/dev/$name"
	mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
cp "$package" "$root/root/presence.deb"
cp -a "$source" "$root/root/presence"
cp "$package" "$root/root/presence/"

# What this machine starts by itself, or was told of presence, is not that one's.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/presence* \
	"$root"/usr/local/lib/systemd "$root/etc/presence" "$root/var/lib/presence" \
	"$root/usr/sbin/policy-rc.d"
# There is no archive to install from, and nothing newer than what is installed.
rm -rf "$root"/var/lib/apt/lists/*
# Its limit of descriptors may be above what is allowed here.
mkdir -p "$root/etc/systemd/system/redis-server.service.d"
printf '[Service]\nLimitNOFILE=4096\n' > "$root/etc/systemd/system/redis-server.service.d/test.conf"

ip link set lo up
cd "$root"
pivot_root . mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=presence sh -c 'umount -l /mnt &&
	exec /lib/systemd/systemd --system --unit=basic.target --show-status=0 --log-target=journal'
