#!/bin/sh
# private-run.sh FOLDER COMMAND…: runs a network service where /run, /var/lib, resolv.conf and the host's name are its
# own, without udev, and with D-Bus where FOLDER has a file "bus". FOLDER/network stands in for /run/systemd/network;
# FOLDER/state is /var/lib and outlives the service. All its processes vanish with the command.
set -e
if [ "$1" != --inside ]; then
  exec unshare --mount --uts --pid --fork --kill-child --propagation private sh "$0" --inside "$@"
fi
folder=$2
shift 2
mount -t proc proc /proc
mount -o remount,ro /sys 2>/dev/null || mount -t sysfs -o ro sysfs /sys # services wait for no udev then
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dbus /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp "$folder/state"
chown -R systemd-network: /run/systemd/netif 2>/dev/null || true
if [ -d "$folder/network" ]; then
  mkdir -p /run/systemd/network
  cp "$folder"/network/* /run/systemd/network/
fi
: >"$folder/resolv.conf"
[ ! -e /etc/resolv.conf ] || mount --bind "$folder/resolv.conf" /etc/resolv.conf
mkdir -p "$folder/state/NetworkManager" "$folder/state/connman" "$folder/state/dhcpcd"
mount --bind "$folder/state" /var/lib
if [ -e "$folder/bus" ]; then
  dbus-daemon --system --fork --nopidfile
fi
"$@"
