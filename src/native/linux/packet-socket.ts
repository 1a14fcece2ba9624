/**
 * Raw sockets of Linux: frames on one link (packet(7)), and ICMP over the kernel's own IPv4 (raw(7)). Both need
 * CAP_NET_RAW. One message a call: for tests and the demo, not for forwarding.
 */
import { allocate } from "../memory.ts";
import { Poll } from "../poll.ts";
import { describeError } from "./errno.ts";
import { AF_INET, type LinuxLibc, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from "./libc.ts";

// sys/socket.h, linux/if_packet.h, linux/if_ether.h
const AF_PACKET = 17;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 3;
const IPPROTO_ICMP = 1;

/** struct sockaddr_ll: family and interface index in host order, protocol in network order. */
const SOCKADDR_LL = { size: 20, family: 0, protocol: 2, index: 4 } as const;

/** struct sockaddr_in: family in host order, address in network order. */
const SOCKADDR_IN = { size: 16, family: 0, address: 4 } as const;

/** Larger than any IPv4 packet with its Ethernet header: between virtual interfaces packets are not segmented. */
const BUFFER_SIZE = 68 * 1024;

/** At most this many messages at one wake-up, so that a flood cannot block the event loop. */
const MOST_AT_ONCE = 128;

export class RawSocket {
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #input = allocate(BUFFER_SIZE);
  readonly #output = allocate(BUFFER_SIZE);
  #closed = false;

  constructor(libc: LinuxLibc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#poll = new Poll(fd);
  }

  /** Sends one message; false when the kernel does not accept it now. */
  send(message: Uint8Array): boolean {
    if (this.#closed) return false;
    this.#output.bytes.set(message);
    return this.#libc.send(this.#fd, this.#output.address, message.length, MSG_DONTWAIT) === message.length;
  }

  /** Calls `onMessage` with each received message; its bytes are valid until `onMessage` returns. */
  listen(onMessage: (message: Uint8Array) => void): void {
    this.#poll.watch(true, false, () => {
      for (let count = 0; count < MOST_AT_ONCE && !this.#closed; count++) {
        const length = this.#libc.recv(this.#fd, this.#input.address, BUFFER_SIZE, MSG_DONTWAIT);
        if (length < 0) return;
        onMessage(this.#input.bytes.subarray(0, length));
      }
    });
  }

  /** Harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    this.#libc.close(this.#fd);
    this.#input.free();
    this.#output.free();
  }
}

/**
 * Opens a link for whole Ethernet frames: receives all frames, also those for other addresses, and sends as they are.
 */
export function openPacketSocket(libc: LinuxLibc, link: string): RawSocket {
  const index = libc.if_nametoindex(link);
  if (index === 0) throw new Error(`there is no link ${link}`);
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL.size));
  address.setUint16(SOCKADDR_LL.family, AF_PACKET, true);
  address.setUint16(SOCKADDR_LL.protocol, ETH_P_ALL);
  address.setInt32(SOCKADDR_LL.index, index, true);
  // With protocol 0 it receives nothing until it is bound to its link.
  return open(libc, `link ${link}`, AF_PACKET, 0, (fd) => {
    // Best effort: without it (Linux < 4.20) the socket receives the link's own transmissions, too.
    libc.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, [1], 4);
    return libc.bind(fd, new Uint8Array(address.buffer), SOCKADDR_LL.size);
  });
}

/** Opens ICMP to one IPv4 address (host order). Sent messages begin with the ICMP header, received ones with IPv4's. */
export function openIcmpSocket(libc: LinuxLibc, destination: number): RawSocket {
  const address = new DataView(new ArrayBuffer(SOCKADDR_IN.size));
  address.setUint16(SOCKADDR_IN.family, AF_INET, true);
  address.setUint32(SOCKADDR_IN.address, destination);
  return open(libc, "ICMP", AF_INET, IPPROTO_ICMP, (fd) =>
    libc.connect(fd, new Uint8Array(address.buffer), SOCKADDR_IN.size),
  );
}

function open(libc: LinuxLibc, what: string, domain: number, protocol: number, attach: (fd: number) => number) {
  const fd = libc.socket(domain, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) throw new Error(`cannot open a raw socket: ${describeError(libc.errno())}`);
  if (attach(fd) < 0) {
    const error = describeError(libc.errno());
    libc.close(fd);
    throw new Error(`cannot open ${what}: ${error}`);
  }
  return new RawSocket(libc, fd);
}
