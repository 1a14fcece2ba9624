/**
 * eBPF programs at an interface's two ends (rtnetlink(7), linux/pkt_cls.h, linux/pkt_sched.h): the queueing discipline
 * `clsact` with one filter for what comes in from the interface and one for what goes out to it. Both go with the interface.
 */
import { describeError, EEXIST, EINVAL, ENOENT } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";
import {
  type Answer,
  findAttribute,
  makeAttribute,
  NETLINK_ROUTE,
  Netlink,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
} from "./netlink.ts";
import type { Hook } from "./tcx.ts";

const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_ID = 11;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const CLSACT = "clsact";
const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
/** Priorities 1 and 2, and all protocols: ETH_P_ALL in network order. */
const FIRST_FOR_ALL = 0x00010300;
const SECOND_FOR_ALL = 0x00020300;
const PARENTS: Readonly<Record<Hook, number>> = { ingress: INGRESS, egress: EGRESS };
/** Softnet's filter among those of its priority, where it is attached to somebody else's interface. */
const OWN_HANDLE = 1;

/** struct tcmsg. */
export const TCMSG = { size: 20, index: 4, handle: 8, parent: 12, info: 16 } as const;

const MAKE = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

/** Attaches a program at each end of the interface with this index. Throws Error when the kernel refuses. */
export function attachPrograms(libc: LinuxLibc, index: number, ingressProgram: number, egressProgram: number): void {
  withNetlink(libc, (request) => {
    const change = (type: number, message: Buffer, attributes: readonly Uint8Array[]): void => {
      const { errno } = request(type, Buffer.concat([message, ...attributes]), MAKE);
      if (errno !== 0) throw new Error(`the kernel refuses traffic control with eBPF: ${describeError(errno)}`);
    };
    change(RTM_NEWQDISC, tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0), [word(TCA_KIND, CLSACT)]);
    change(RTM_NEWTFILTER, tcmsg(index, 0, INGRESS, FIRST_FOR_ALL), filter(ingressProgram));
    change(RTM_NEWTFILTER, tcmsg(index, 0, EGRESS, FIRST_FOR_ALL), filter(egressProgram));
  });
}

/**
 * Attaches a program at one end of an interface that may have a `clsact` already, before all other filters; it replaces an
 * earlier one of softnet's at once. Throws Error when the kernel refuses, also where another filter is first.
 */
export function attachFilter(libc: LinuxLibc, index: number, hook: Hook, program: number): void {
  attach(libc, index, hook, program, FIRST_FOR_ALL);
}

function attach(libc: LinuxLibc, index: number, hook: Hook, program: number, info: number): void {
  withNetlink(libc, (request) => {
    const clsact = Buffer.concat([tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0), word(TCA_KIND, CLSACT)]);
    const made = request(RTM_NEWQDISC, clsact, MAKE).errno;
    if (made !== 0 && made !== EEXIST) throw new Error(`the kernel has no clsact: ${describeError(made)}`);
    const kind = made === EEXIST ? disciplineAt(request, index) : CLSACT;
    if (kind !== CLSACT) {
      throw new Error(
        `the queueing discipline ${JSON.stringify(kind)} is there, as libvirt's <bandwidth> with <outbound> makes one: take that out, and use --limit`,
      );
    }
    const message = tcmsg(index, OWN_HANDLE, PARENTS[hook], info);
    const { errno } = request(RTM_NEWTFILTER, Buffer.concat([message, ...filter(program)]), NLM_F_ACK | NLM_F_CREATE);
    if (errno === 0) return;
    throw new Error(`another program's filter or queueing discipline is in the way (${describeError(errno)})`);
  });
}

/**
 * Attaches a program at one end of an interface of softnet's own, behind the filter that may be there already: it sees what
 * that one leaves to it. Throws Error when the kernel refuses.
 */
export function attachSecondFilter(libc: LinuxLibc, index: number, hook: Hook, program: number): void {
  attach(libc, index, hook, program, SECOND_FOR_ALL);
}

/** The id of the program of softnet's filter, where `attachFilter` put it; undefined where it is gone. */
export function filterProgram(libc: LinuxLibc, index: number, hook: Hook): number | undefined {
  return withNetlink(libc, (request) => {
    const { errno, message } = request(RTM_GETTFILTER, tcmsg(index, OWN_HANDLE, PARENTS[hook], FIRST_FOR_ALL), 0);
    if (errno === ENOENT || errno === EINVAL) return undefined; // EINVAL: there is no such queueing discipline
    if (errno !== 0) throw new Error(`the kernel does not show a filter: ${describeError(errno)}`);
    const options = findAttribute(message, TCMSG.size, TCA_OPTIONS);
    return options && findAttribute(options, 0, TCA_BPF_ID)?.getUint32(0, true);
  });
}

/** Takes away what `attachFilter` put there. Others' filters, and the queueing discipline, stay. */
export function removeFilter(libc: LinuxLibc, index: number, hook: Hook): void {
  withNetlink(libc, (request) => {
    const { errno } = request(RTM_DELTFILTER, tcmsg(index, OWN_HANDLE, PARENTS[hook], FIRST_FOR_ALL), NLM_F_ACK);
    if (errno !== 0 && errno !== ENOENT && errno !== EINVAL) {
      throw new Error(`the kernel keeps a filter: ${describeError(errno)}`);
    }
  });
}

/** Whether the interface has the queueing discipline that filters at both ends need. Throws Error when the kernel does not say. */
export function hasClsact(libc: LinuxLibc, index: number): boolean {
  return withNetlink(libc, (request) => disciplineAt(request, index) === CLSACT);
}

/**
 * What is at the place of `clsact`: that, or `ingress`, which has the same handle and filters only what comes in; the kernel
 * puts a filter for the other end among those, without an error. Undefined: nothing. Throws Error when the kernel does not say.
 */
function disciplineAt(request: Request, index: number): string | undefined {
  // Without the flag the kernel sends it to everybody but who asks.
  const { errno, message } = request(RTM_GETQDISC, tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0), NLM_F_ECHO);
  if (errno === ENOENT) return undefined;
  if (errno !== 0) throw new Error(`the kernel does not show clsact: ${describeError(errno)}`);
  const kind = findAttribute(message, TCMSG.size, TCA_KIND);
  return kind && Buffer.from(kind.buffer, kind.byteOffset, kind.byteLength).toString("latin1").replace(/\0.*/s, "");
}

/** Takes `clsact` away, unless it has filters at either end. Throws Error when the kernel refuses. */
export function removeEmptyClsact(libc: LinuxLibc, index: number): void {
  if (!hasClsact(libc, index) || hasFilters(libc, index, INGRESS) || hasFilters(libc, index, EGRESS)) return;
  withNetlink(libc, (request) => {
    const { errno } = request(RTM_DELQDISC, tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0), NLM_F_ACK);
    if (errno !== 0 && errno !== ENOENT && errno !== EINVAL) {
      throw new Error(`the kernel keeps clsact: ${describeError(errno)}`);
    }
  });
}

function hasFilters(libc: LinuxLibc, index: number, parent: number): boolean {
  const netlink = Netlink.open(libc, NETLINK_ROUTE);
  if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
  try {
    const found = netlink.collect(RTM_GETTFILTER, tcmsg(index, 0, parent, 0), () => true);
    if (typeof found !== "number") return found.length > 0;
    if (found === ENOENT || found === EINVAL) return false; // EINVAL: there is no such queueing discipline
    throw new Error(`the kernel does not show its filters: ${describeError(found)}`);
  } finally {
    netlink.close();
  }
}

type Request = (type: number, body: Uint8Array, flags: number) => Answer;

function withNetlink<T>(libc: LinuxLibc, action: (request: Request) => T): T {
  const netlink = Netlink.open(libc, NETLINK_ROUTE);
  if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
  try {
    return action((type, body, flags) => netlink.request(type, body, flags));
  } finally {
    netlink.close();
  }
}

function tcmsg(index: number, handle: number, parent: number, info: number): Buffer {
  const message = Buffer.alloc(TCMSG.size);
  message.writeInt32LE(index, TCMSG.index);
  message.writeUInt32LE(handle, TCMSG.handle);
  message.writeUInt32LE(parent, TCMSG.parent);
  message.writeUInt32LE(info, TCMSG.info);
  return message;
}

function filter(program: number): Uint8Array[] {
  const options = [
    number32(TCA_BPF_FD, program),
    word(TCA_BPF_NAME, "softnet"),
    number32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
  ];
  return [word(TCA_KIND, "bpf"), makeAttribute(TCA_OPTIONS, Buffer.concat(options))];
}

function word(type: number, text: string): Uint8Array {
  return makeAttribute(type, Buffer.from(`${text}\0`));
}

function number32(type: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return makeAttribute(type, bytes);
}
