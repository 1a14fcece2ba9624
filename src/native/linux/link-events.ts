/**
 * Notifications of changes to one network interface: rtnetlink's group of link messages (rtnetlink(7)). A message's
 * content is ignored: its receiver reads the interface's state again. So a lost message (ENOBUFS) has the same effect
 * as a received one.
 *
 * The kernel sends every message to every socket of the group, so on a host with hundreds of VMs each softnet would be
 * woken for the TAPs of all others. A filter in the kernel (SO_ATTACH_FILTER) passes only messages of the one
 * interface.
 */
import { allocate } from "../memory.ts";
import { Poll } from "../poll.ts";
import { EINTR, ENOBUFS } from "./errno.ts";
import {
  AF_NETLINK,
  BPF_JUMP_EQUAL,
  BPF_LOAD_WORD,
  BPF_RETURN,
  type LinuxLibc,
  MSG_DONTWAIT,
  SO_ATTACH_FILTER,
  SOCK_CLOEXEC,
  SOCK_FILTER,
  SOCK_FPROG,
  SOCK_RAW,
  SOCKADDR_NL,
  SOL_SOCKET,
} from "./libc.ts";

const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
/** Messages about an interface's queueing disciplines and filters. */
export const RTMGRP_TC = 8;
/** Of the interface's index in a link message, or one of traffic control: behind the header of 16 bytes, in struct ifinfomsg, or tcmsg. */
const INDEX = 20;
const WHOLE = 0xffffffff;
/** Messages received at one wake-up; for more the watch calls again. */
const MOST_AT_ONCE = 64;
/** A message's first bytes are enough. */
const ROOM = 64;

export class LinkEvents {
  /** Called from the event loop after a change, or several. */
  onChange: () => void = () => {};
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #memory = allocate(ROOM);
  #open = true;

  /**
   * Listens from now on in this network namespace; undefined where the kernel does not let it. `more`: groups beside that of
   * links.
   */
  static open(libc: LinuxLibc, index: number, more = 0): LinkEvents | undefined {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return undefined;
    const address = new Uint8Array(SOCKADDR_NL.size);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(SOCKADDR_NL.groups, RTMGRP_LINK | more, true);
    // The filter first: then nothing else ever waits in the socket.
    if (attachFilter(libc, fd, index) && libc.bind(fd, address, address.length) === 0) return new LinkEvents(libc, fd);
    libc.close(fd);
    return undefined;
  }

  private constructor(libc: LinuxLibc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#poll.watch(true, false, this.#event);
  }

  /** Harmless when called twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    this.#libc.close(this.#fd);
    this.#memory.free();
  }

  readonly #event = (): void => {
    this.#drain();
    this.#poll.rearm(); // a full socket stops the watch with an error, which receiving has cleared
    this.onChange();
  };

  #drain(): void {
    for (let taken = 0; taken < MOST_AT_ONCE; taken++) {
      if (this.#libc.recv(this.#fd, this.#memory.address, ROOM, MSG_DONTWAIT) >= 0) continue;
      const errno = this.#libc.errno();
      if (errno !== EINTR && errno !== ENOBUFS) return;
    }
  }
}

/** Passes whole messages of that interface and none of others. */
function attachFilter(libc: LinuxLibc, fd: number, index: number): boolean {
  // The filter loads words most significant byte first; the index lies in the message in host order.
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, index, true);
  const program = [
    { code: BPF_LOAD_WORD, no: 0, value: INDEX },
    { code: BPF_JUMP_EQUAL, no: 1, value: swapped.getUint32(0) },
    { code: BPF_RETURN, no: 0, value: WHOLE },
    { code: BPF_RETURN, no: 0, value: 0 },
  ];
  const memory = allocate(program.length * SOCK_FILTER.size);
  const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.length);
  for (const [at, { code, no, value }] of program.entries()) {
    view.setUint16(at * SOCK_FILTER.size, code, true);
    view.setUint8(at * SOCK_FILTER.size + SOCK_FILTER.no, no);
    view.setUint32(at * SOCK_FILTER.size + SOCK_FILTER.value, value, true);
  }
  const header = new DataView(new ArrayBuffer(SOCK_FPROG.size));
  header.setUint16(0, program.length, true);
  header.setBigUint64(SOCK_FPROG.filter, BigInt(memory.address), true);
  const bytes = new Uint8Array(header.buffer);
  const attached = libc.setsockoptBytes(fd, SOL_SOCKET, SO_ATTACH_FILTER, bytes, bytes.length) === 0;
  memory.free();
  return attached;
}
