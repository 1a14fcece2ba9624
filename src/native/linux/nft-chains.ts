/**
 * The base chains of nftables, those of iptables-nft too: NFT_MSG_GETCHAIN (linux/netfilter/nf_tables.h). Needs
 * CAP_NET_ADMIN in the network namespace.
 */
import type { LinuxLibc } from "./libc.ts";
import { findAttribute, NETLINK_NETFILTER, Netlink } from "./netlink.ts";

/** Of the subsystem NFNL_SUBSYS_NFTABLES. */
const NFT_MSG_GETCHAIN = (10 << 8) | 4;
/** struct nfgenmsg: family, version, a number of 2 bytes. A family of 0 means all. */
const NFGENMSG = { size: 4, family: 0 } as const;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_HOOK = 4;
const NFTA_HOOK_HOOKNUM = 1;

/** By NFPROTO_… (linux/netfilter.h), as nft calls them. */
const FAMILIES: Readonly<Record<number, string>> = {
  1: "inet",
  2: "ip",
  3: "arp",
  5: "netdev",
  7: "bridge",
  10: "ip6",
};
/** By NF_INET_…; the bridge's hooks have the same numbers. */
const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;

/** A chain that packets come to by a hook. */
export interface BaseChain {
  readonly family: string;
  readonly table: string;
  readonly hook: string;
}

/** Undefined where the kernel does not say: it has no nftables, or the right is missing. */
export function listBaseChains(libc: LinuxLibc): BaseChain[] | undefined {
  const netlink = Netlink.open(libc, NETLINK_NETFILTER);
  if (typeof netlink === "number") return undefined;
  try {
    const found = netlink.collect(NFT_MSG_GETCHAIN, new Uint8Array(NFGENMSG.size), parse);
    return typeof found === "number" ? undefined : found;
  } finally {
    netlink.close();
  }
}

function parse(message: DataView): BaseChain | undefined {
  const family = FAMILIES[message.getUint8(NFGENMSG.family)] ?? "";
  const table = findAttribute(message, NFGENMSG.size, NFTA_CHAIN_TABLE);
  const hook = findAttribute(message, NFGENMSG.size, NFTA_CHAIN_HOOK);
  const number = hook && findAttribute(hook, 0, NFTA_HOOK_HOOKNUM)?.getUint32(0);
  if (table === undefined || number === undefined) return undefined;
  const name = Buffer.from(table.buffer, table.byteOffset, table.byteLength).toString("latin1").replace(/\0.*$/, "");
  const isNetdev = family === "netdev"; // its hooks have numbers of their own
  return { family, table: name, hook: isNetdev ? "ingress" : (HOOKS[number] ?? "") };
}
