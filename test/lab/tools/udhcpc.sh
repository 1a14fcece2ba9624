#!/bin/sh
# udhcpc's event script: applies a lease to the card and prints each event. Touches nothing but that card.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$1" in
deconfig)
  ip -4 address flush dev "$interface"
  ip link set "$interface" up
  ;;
bound | renew)
  for old in $(ip -4 -o address show dev "$interface" | awk '{ print $4 }'); do
    [ "$old" = "$ip/$mask" ] || ip address delete "$old" dev "$interface"
  done
  ip address replace "$ip/$mask" dev "$interface"
  for first in $router; do
    ip route replace default via "$first" dev "$interface"
    break
  done
  ;;
esac
echo "EVENT $1 address=$ip router=$router dns=$dns lease=$lease server=$serverid"
