#!/bin/sh
# dhclient's event script for DHCPv6: applies a lease to the card and prints each event. Touches nothing but that card.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$reason" in
BOUND6 | RENEW6 | REBIND6)
  ip -6 address replace "$new_ip6_address/128" dev "$interface" valid_lft "$new_max_life" preferred_lft "$new_preferred_life"
  ;;
EXPIRE6 | RELEASE6 | STOP6)
  ip -6 address delete "$old_ip6_address/128" dev "$interface" || true
  ;;
esac
echo "EVENT $reason address=$new_ip6_address"
exit 0
