#!/bin/sh
# dhclient's event script: applies a lease to the card and prints each event. Touches nothing but that card.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$reason" in
PREINIT)
  ip link set "$interface" up
  ;;
BOUND | RENEW | REBIND | REBOOT)
  if [ -n "$old_ip_address" ] && [ "$old_ip_address" != "$new_ip_address" ]; then
    ip -4 address flush dev "$interface"
  fi
  ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface"
  for first in $new_routers; do
    ip route replace default via "$first" dev "$interface"
    break
  done
  ;;
EXPIRE | FAIL | RELEASE | STOP)
  ip -4 address flush dev "$interface"
  ;;
esac
echo "EVENT $reason address=$new_ip_address router=$new_routers dns=$new_domain_name_servers lease=$new_dhcp_lease_time server=$new_dhcp_server_identifier" >&2
exit 0
