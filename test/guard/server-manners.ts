/**
 * How ordinary DHCP servers reply, as literal bytes: what they put into OFFER and ACK beside options 53, 54, 51, 1, 3 and
 * 6, where they send it, and whether a NAK names the server. Written from memory after their sources.
 */

export interface ServerManner {
  readonly name: string;
  /** Options behind the usual ones in OFFER and ACK, hexadecimal. */
  readonly options: string;
  /** Whether all goes to everybody, or (RFC 2131 4.1) only to who set the broadcast flag. */
  readonly broadcast: "always" | "asked";
  /** Options of a NAK beside 53; `SERVER` stands for option 54. */
  readonly nak: string;
}

export const SERVER_MANNERS: readonly ServerManner[] = [
  { name: "isc-dhcp-server", options: "1c04 c0a840ff  0f03 6c616e", broadcast: "asked", nak: "SERVER" },
  { name: "kea", options: "3a04 0000003c  3b04 00000069", broadcast: "asked", nak: "SERVER" },
  {
    name: "dnsmasq",
    options: "3a04 0000003c  3b04 00000069  1c04 c0a840ff",
    broadcast: "asked",
    nak: "SERVER  3811 6e6f206c656173652061 7661696c61626c",
  },
  { name: "systemd-networkd", options: "3a04 0000003c  3b04 00000069", broadcast: "asked", nak: "SERVER" },
  { name: "udhcpd", options: "3804 6c616e00", broadcast: "asked", nak: "SERVER" },
  { name: "a home router that broadcasts, and names no server in its NAK", options: "", broadcast: "always", nak: "" },
];
