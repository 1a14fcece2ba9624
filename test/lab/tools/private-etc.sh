#!/bin/sh
# private-etc.sh FOLDER COMMAND…: runs the command where /etc is a copy that only it sees, with what the folder says
# added: lines for passwd, group and shadow; sudoers; softnet.conf with its owner and mode; resolv.conf. It vanishes with
# the command. A folder "run" stands in for /run/softnet.
set -e
if [ "$1" != --inside ]; then
  exec unshare --mount --propagation private sh "$0" --inside "$@"
fi
folder=$2
shift 2
copy=$folder/etc
mkdir -p "$copy"
mount -t tmpfs -o mode=755 tmpfs "$copy"
# Once more where a file went while it was copied: somebody installs a package.
cp -a /etc/. "$copy" 2>/dev/null || cp -a /etc/. "$copy"
for file in passwd group shadow; do
  cat "$folder/$file" >>"$copy/$file"
done
if [ -d "$copy/sudoers.d" ]; then
  cp "$folder/sudoers" "$copy/sudoers.d/softnet-lab"
  chmod 440 "$copy/sudoers.d/softnet-lab"
fi
rm -f "$copy/softnet.conf"
if [ -e "$folder/softnet.conf" ]; then
  cp -p "$folder/softnet.conf" "$copy/softnet.conf"
fi
if [ -e "$folder/resolv.conf" ]; then
  rm -f "$copy/resolv.conf"
  cp "$folder/resolv.conf" "$copy/resolv.conf"
fi
mount --bind "$copy" /etc
if [ -d "$folder/run" ]; then
  mkdir -p /run/softnet
  mount --bind "$folder/run" /run/softnet
fi
# As udev has it: open to all, since the kernel asks for the TAP's own owner.
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
exec "$@"
