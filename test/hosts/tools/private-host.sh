#!/bin/sh
# A machine's files for one test: changes of /etc and /var, and all of /run, are in memory and gone with this process.
# Run in fresh namespaces of network, mounts and processes; prints "ready" and stays.
set -eu
mount -t tmpfs none /run
for folder in etc var; do
  mkdir -p "/run/changes/$folder" "/run/changes/.$folder"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=/run/changes/$folder,workdir=/run/changes/.$folder" "/$folder"
done
mkdir -p /run/lock /run/dbus /run/netns
mount -t cgroup2 none /sys/fs/cgroup # dockerd looks for it
echo ready
# The first process of its namespace reaps whatever ends without a parent: libvirt waits for that.
sleep infinity &
wait
