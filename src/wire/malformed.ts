/**
 * What can be wrong with a frame's form: a closed list of numbers, in the order of the checks, of which the first that
 * fails counts. What becomes of such a frame is not known here.
 */

export const SOUND = 0;
/** Shorter than an Ethernet header. */
export const SHORT = 1;
/** ARP, but not exactly Ethernet and IPv4 ARP. */
export const ARP_FORM = 2;
/** No room for an IPv4 header, or another version. */
export const IPV4_VERSION = 3;
/** IHL or total length do not fit each other, or the frame. */
export const IPV4_LENGTH = 4;
/** IPv4 options. */
export const IPV4_OPTIONS = 5;
/** The IPv4 header's checksum is wrong. */
export const IPV4_CHECKSUM = 6;
/** A fragment that hides the transport header, or that runs past 65,535 bytes. */
export const IPV4_FRAGMENT = 7;
/** A TCP, UDP or ICMP header that is cut short. */
export const IPV4_TRANSPORT = 8;
/** No room for an IPv6 header, another version, or a payload length that does not fit; a header that is cut short. */
export const IPV6_FORM = 9;
/** An extension header that is not known or stands in the wrong place, or too many of them. */
export const IPV6_EXTENSION = 10;
/** An option of a hop-by-hop or destination options header that is not allowed, or runs past its end. */
export const IPV6_OPTIONS = 11;
/** A routing header. */
export const IPV6_ROUTING = 12;
/** A fragment that is none, that hides a header, or that runs past 65,535 bytes. */
export const IPV6_FRAGMENT = 13;
/** A TCP, UDP or ICMPv6 header that is cut short. */
export const IPV6_TRANSPORT = 14;
/** A multicast source address. */
export const IPV6_SOURCE = 15;
/** An address that stands for the machine itself: unspecified, loopback, or mapped from IPv4. */
export const IPV6_LOOPBACK = 16;
