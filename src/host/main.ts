/**
 * The helper's process (helper.ts). Descriptor 3 is a unix socket that root listens at, for any number of softnets, or the
 * connection of the one softnet that started it without root. It ends with the last of them; signals do not end it, since
 * a service manager sends them to all processes of a service at once, and this one cleans up after the others.
 */
import { deleteConnections, deleteConnections6 } from "../native/linux/conntrack.ts";
import { sendDescriptor } from "../native/linux/descriptor-passing.ts";
import {
  AF_UNIX,
  type LinuxLibc,
  loadLibc,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_PEERCRED,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  UCRED,
} from "../native/linux/libc.ts";
import { type Nftables, openNftables } from "../native/linux/libnftables.ts";
import { Links } from "../native/linux/links.ts";
import { findAttribute, type Message, NETLINK_NETFILTER, NETLINK_ROUTE } from "../native/linux/netlink.ts";
import {
  NetlinkEvents,
  NFTABLES_GROUP,
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_NETCONF,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_NETCONF,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
} from "../native/linux/netlink-events.ts";
import { nameProcess } from "../native/linux/process-name.ts";
import { Poll } from "../native/poll.ts";
import { UnixStream } from "../ports/unix-stream.ts";
import { findNobody } from "../privileges/target.ts";
import { DIRECTORY } from "../registry/linux.ts";
import { findProgram } from "../system-program.ts";
import { putOffCallerLimits } from "./caller-limits.ts";
import { readFirewalls } from "./firewalls/firewalls.ts";
import { isOwnTable } from "./firewalls/walk.ts";
import { Helper } from "./helper.ts";
import { RECORD_NAME } from "./ip-forwarding.ts";
import { RECORD6_NAME } from "./ipv6-forwarding.ts";
import { encode, FAILURE, HELLO } from "./messages.ts";
import { readRecord, readRecord6 } from "./records.ts";
import { keepNetAdmin } from "./rights.ts";

const SOCKET = 3;
const SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR2", "SIGPIPE"] as const;
/**
 * NFT_MSG_DELTABLE and NFT_MSG_NEWGEN of the subsystem NFNL_SUBSYS_NFTABLES, and where its messages have the table's name:
 * NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE and so on are the same number. NEWGEN ends each transaction.
 */
const DELETE_TABLE = (10 << 8) | 2;
const NEW_GENERATION = (10 << 8) | 15;
const NFGENMSG_SIZE = 4;
const NFTA_TABLE = 1;

export function helpHost(): void {
  for (const signal of SIGNALS) process.on(signal, () => {});
  const libc = loadLibc();
  nameProcess(libc, "softnet-helper");
  if (socketOption(libc, SO_DOMAIN) !== AF_UNIX) throw new Error("descriptor 3 is no unix socket: softnet starts this");
  const isRoot = process.geteuid!() === 0;
  let nft: Nftables | undefined;
  let helper: Helper | undefined;
  let failure = "";
  try {
    if (isRoot) putOffCallerLimits(libc);
    if (isRoot) keepNetAdmin(libc, findNobody(libc));
    else keepNetAdmin(libc, { uid: process.getuid!(), gid: process.getgid!() });
    nft = openNftables(libc);
    helper = start(libc, nft);
  } catch (error) {
    failure = (error as Error).message;
  }
  const serve = (fd: number): void => {
    if (helper !== undefined && nft !== undefined) {
      try {
        sendDescriptor(libc, fd, HELLO, nft.fd);
      } catch {
        libc.close(fd); // it is gone already: killed while it connected, for example
        return;
      }
      helper.add(new UnixStream(libc, fd));
      return;
    }
    const stream = new UnixStream(libc, fd);
    stream.send(Buffer.concat([Buffer.of(FAILURE), encode({ kind: "reply", error: failure })]));
    process.exit(1);
  };
  if (socketOption(libc, SO_ACCEPTCONN) === 1) listen(libc, serve);
  else serve(SOCKET);
}

function start(libc: LinuxLibc, nft: Nftables): Helper {
  const program = findProgram("nft", "nftables");
  const links = new Links(libc);
  const helper = new Helper({
    libc,
    nft,
    readRecord: () => readRecord(program),
    readFirewalls: () => readFirewalls(libc),
    directory: DIRECTORY,
    isBridge: (name) => links.byName(name)?.kind === "bridge",
    deleteConnections: (address, most) => deleteConnections(libc, address, most),
    ipv6: {
      readRecord: () => readRecord6(program),
      watch: (onChange) => {
        const groups = RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_NETCONF;
        new NetlinkEvents(libc, NETLINK_ROUTE, groups, onChange);
      },
      deleteConnections: (prefix, most) => deleteConnections6(libc, prefix, most),
    },
    onIdle: () => process.exit(0),
  });
  const groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_NETCONF;
  new NetlinkEvents(libc, NETLINK_ROUTE, groups, () => helper.hostChanged());
  new NetlinkEvents(libc, NETLINK_NETFILTER, NFTABLES_GROUP, (message) => {
    const table = message === undefined ? undefined : tableOf(message);
    // Undefined: the kernel had more to say than there was room for.
    const isRecord = message?.type === DELETE_TABLE && (table === RECORD_NAME || table === RECORD6_NAME);
    if (message === undefined || isRecord) helper.recordRemoved();
    if (message === undefined || (table !== undefined && !isOwnTable(table))) helper.firewallsChanged();
  });
  return helper;
}

/** Accepts softnets that are still root. */
function listen(libc: LinuxLibc, serve: (fd: number) => void): void {
  const poll = new Poll(SOCKET);
  poll.watch(true, false, () => {
    const fd = libc.accept4(SOCKET, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (peerUser(libc, fd) !== 0) libc.close(fd);
    else serve(fd);
  });
}

function peerUser(libc: LinuxLibc, fd: number): number {
  const credentials = Buffer.alloc(UCRED.size);
  if (libc.getsockoptBytes(fd, SOL_SOCKET, SO_PEERCRED, credentials, [UCRED.size]) !== 0) return -1;
  return credentials.readUInt32LE(UCRED.uid);
}

function socketOption(libc: LinuxLibc, name: number): number {
  const value: [number] = [0];
  return libc.getsockopt(SOCKET, SOL_SOCKET, name, value, [4]) < 0 ? -1 : value[0];
}

function tableOf({ type, body }: Message): string | undefined {
  const name = type === NEW_GENERATION ? undefined : findAttribute(body, NFGENMSG_SIZE, NFTA_TABLE);
  if (name === undefined) return undefined;
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString("latin1").replace(/\0.*$/, "");
}
