/**
 * Ordinary DHCP clients, as literal bytes: the options that a client of that name sends beside the message type and options
 * 50 and 54, and what else differs between clients. They are written from memory after the clients' sources or, where
 * those are closed, their makers' documentation; no capture was copied. Debian's own run for real too: test/clients.
 */

export interface ClientRow {
  readonly name: string;
  /** Options beside 53, 50 and 54. `MAC` stands for the VM's MAC address. */
  readonly options: string;
  /** Whether each message has an xid of its own, or each exchange. */
  readonly xid: "message" | "exchange";
  readonly broadcast?: boolean;
  /** Its IPv4 source in REBINDING. */
  readonly rebindsFrom: "0.0.0.0" | "own";
  /** Asks for its former address when it starts (INIT-REBOOT). */
  readonly reboots: boolean;
  /** Probes for what it got (RFC 5227). */
  readonly probes?: boolean;
  /** Where the bytes are from. */
  readonly from: "sources" | "documentation";
}

const DUID = "3d13 ff a1b2c3d4 0002 0000ab11 0123456789abcdef";
const MAC_IDENTIFIER = "3d07 01 MAC";

export const CLIENT_ROWS: readonly ClientRow[] = [
  {
    name: "lwIP 1.4",
    options: "3902 0240  3704 0103 1c06",
    xid: "message",
    rebindsFrom: "own",
    reboots: false,
    from: "sources",
  },
  {
    name: "smoltcp 0.12",
    options: `${MAC_IDENTIFIER}  3902 05c0  3703 010306`,
    xid: "message",
    rebindsFrom: "own",
    reboots: false,
    from: "sources",
  },
  {
    name: "Zephyr 3.7",
    options: "3703 010306  0c06 7a6570687972",
    xid: "message",
    rebindsFrom: "own",
    reboots: false,
    from: "sources",
  },
  {
    name: "systemd-networkd 257",
    options: `${DUID}  370a 0103060c0f1a21 2a7779  3902 05c0  0c06 64656269616e`,
    xid: "exchange",
    rebindsFrom: "0.0.0.0",
    reboots: true,
    from: "sources",
  },
  {
    name: "NetworkManager 1.52 (internal)",
    options: `${MAC_IDENTIFIER}  3711 0102060c0f1a1c79032128292a77f9fc11  3902 ffff  0c06 64656269616e`,
    xid: "exchange",
    rebindsFrom: "0.0.0.0",
    reboots: true,
    probes: true,
    from: "sources",
  },
  {
    name: "ConnMan 1.42",
    options: `${DUID}  3708 0103060c0f2a77fc`,
    xid: "exchange",
    broadcast: true,
    rebindsFrom: "0.0.0.0",
    reboots: true,
    from: "sources",
  },
  {
    name: "dhcpcd 10",
    options: `${DUID}  5000  3902 05c0  3c0b 6468637063642d31302e31  9101 01  370c 0179210306 0c0f1a1c333638`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    probes: true,
    from: "sources",
  },
  {
    name: "dhclient 4.4",
    options: "0c06 64656269616e  370d 011c02030f06770c2c2f1a792a",
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    from: "sources",
  },
  {
    name: "udhcpc 1.37",
    options: `${MAC_IDENTIFIER}  3902 0240  3707 0103060c0f1c2a  3c0c 756468637020312e33372e30`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: false,
    from: "sources",
  },
  {
    name: "Windows 11",
    options: `${MAC_IDENTIFIER}  0c09 4445534b544f502d31  3c08 4d53465420352e30  370e 0103060f1f212b2c2e2f7779f9fc`,
    xid: "exchange",
    broadcast: true,
    rebindsFrom: "own",
    reboots: true,
    probes: true,
    from: "documentation",
  },
  {
    name: "macOS 15",
    options: `370c 017903060f6c7277fc5f2c2e  3902 05dc  ${MAC_IDENTIFIER}  3304 0076a700  0c03 6d6163`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    probes: true,
    from: "documentation",
  },
  {
    name: "Android 15",
    options: `${MAC_IDENTIFIER}  3902 05dc  3c0f 616e64726f69642d646863702d3135  370b 0103060f1a1c333a3b2b72`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    from: "sources",
  },
];
