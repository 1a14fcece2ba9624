/** Every attack, in the order in which they are tried. */
import { arpTheft, taggedArpTheft } from "./arp-theft.ts";
import type { Attack } from "./attack.ts";
import { dhcpStarvation } from "./dhcp-starvation.ts";
import { forgedLease } from "./forged-lease.ts";
import { hostLoopback } from "./host-loopback.ts";
import { ipSpoof } from "./ip-spoof.ts";
import { macSpoof } from "./mac-spoof.ts";
import { otherGuest } from "./other-guest.ts";
import { privateNeighbour } from "./private-neighbour.ts";
import { rogueDhcp } from "./rogue-dhcp.ts";
import { rogueDhcpv6 } from "./rogue-dhcpv6.ts";
import { hiddenRouterTheft, neighbourTheft, routerTheft } from "./router-theft.ts";

export const ATTACKS: readonly Attack[] = [
  arpTheft,
  macSpoof,
  ipSpoof,
  rogueDhcp,
  dhcpStarvation,
  forgedLease,
  taggedArpTheft,
  privateNeighbour,
  otherGuest,
  hostLoopback,
  routerTheft,
  hiddenRouterTheft,
  neighbourTheft,
  rogueDhcpv6,
];
