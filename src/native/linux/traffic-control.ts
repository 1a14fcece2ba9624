/**
 * eBPF programs at an interface's two ends (rtnetlink(7), linux/pkt_cls.h, linux/pkt_sched.h): the queueing discipline
 * `clsact` with one filter for what comes in from the interface and one for what goes out to it. Both go with the interface.
 */
import { describeError } from "./errno.ts";
import type { LinuxLibc } from "./libc.ts";
import { makeAttribute, Netlink, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from "./netlink.ts";

const NETLINK_ROUTE = 0;
const RTM_NEWQDISC = 36;
const RTM_NEWTFILTER = 44;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
/** Priority 1 and all protocols, ETH_P_ALL in network order. */
const FIRST_FOR_ALL = 0x00010300;

/** struct tcmsg. */
const TCMSG = { size: 20, index: 4, handle: 8, parent: 12, info: 16 } as const;

const MAKE = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

/** Attaches a program at each end of the interface with this index. Throws Error when the kernel refuses. */
export function attachPrograms(libc: LinuxLibc, index: number, ingressProgram: number, egressProgram: number): void {
  const netlink = Netlink.open(libc, NETLINK_ROUTE);
  if (typeof netlink === "number") throw new Error(`cannot open a route netlink socket: ${describeError(netlink)}`);
  const change = (type: number, message: Buffer, attributes: readonly Uint8Array[]): void => {
    const { errno } = netlink.request(type, Buffer.concat([message, ...attributes]), MAKE);
    if (errno !== 0) throw new Error(`the kernel refuses traffic control with eBPF: ${describeError(errno)}`);
  };
  try {
    change(RTM_NEWQDISC, tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0), [word(TCA_KIND, "clsact")]);
    change(RTM_NEWTFILTER, tcmsg(index, 0, INGRESS, FIRST_FOR_ALL), filter(ingressProgram));
    change(RTM_NEWTFILTER, tcmsg(index, 0, EGRESS, FIRST_FOR_ALL), filter(egressProgram));
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
