/**
 * `--host-fd N` and `--host-socket PATH`: softnet as a filter in the cable. The other end of the socket is a program
 * that knows the network: passt, gvproxy, vmnet-helper, another QEMU. No privilege is needed.
 */
import { describeError, EACCES, EAGAIN, ECONNREFUSED, ENOENT, EPERM, EPROTOTYPE } from "../native/linux/errno.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  type LinuxLibc,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../native/linux/libc.ts";
import type { Rule } from "../policy/rule.ts";
import { HOST } from "../policy/targets/alias.ts";
import { DatagramPort } from "../ports/datagram.ts";
import { connectedSocket } from "../ports/descriptor.ts";
import { linuxUnix } from "../ports/linux-unix.ts";
import { StreamPort } from "../ports/stream.ts";
import { unixAddress } from "../ports/unix-path.ts";
import type { FramePort } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import type { Network } from "./network.ts";

const WANTED = "a connected unix datagram socket, or a connected stream socket";

/** A connected socket that the caller was given: datagram or stream, told apart by SO_TYPE. Throws UserError. */
export function openHostDescriptor(libc: LinuxLibc, fd: number, mtu: number): Network {
  const option = "--host-fd";
  const { domain, type } = connectedSocket(libc, option, fd, WANTED);
  if (type === SOCK_DGRAM) return cable(new DatagramPort(libc, option, fd), mtu);
  if (type !== SOCK_STREAM || (domain !== AF_UNIX && domain !== AF_INET && domain !== AF_INET6)) {
    throw new UserError(`${option} ${fd}: a socket of another type; pass ${WANTED}`);
  }
  return cable(new StreamPort(linuxUnix(libc), `${option} ${fd}`, fd), mtu);
}

/** Connects to a listening unix stream socket. Throws UserError. */
export function openHostSocket(libc: LinuxLibc, path: string, mtu: number): Network {
  const label = `--host-socket ${path}`;
  const address = unixAddress(label, path);
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw new UserError(`${label}: ${describeError(libc.errno())}`);
  if (libc.connect(fd, address, address.length) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    throw new UserError(`${label}: ${connectError(errno)}`);
  }
  return cable(new StreamPort(linuxUnix(libc), label, fd), mtu);
}

function connectError(errno: number): string {
  if (errno === ENOENT) return "there is no such socket; start the program that listens on it first";
  if (errno === ECONNREFUSED) return "nobody listens on it; start the program that does first";
  if (errno === EACCES || errno === EPERM)
    return "no permission to connect; ask its owner, or run softnet as that user";
  if (errno === EPROTOTYPE) return "not a stream socket; connect a datagram socket and pass it with --host-fd";
  if (errno === EAGAIN) return "too many connections wait to be accepted there; is the program alive?";
  return describeError(errno);
}

/**
 * What whoever starts softnet before such a program should know, unless a rule of his speaks of the gateway. The gateway's
 * address is the program's own there, and open to the VM by default (docs/policy.md).
 */
export function gatewayAdvice(label: string, rules: readonly Rule[]): string | undefined {
  const considered = rules.some(({ action, direction, target, ports }) => {
    if (direction === "in") return false;
    if (target === HOST) return true;
    return action === "block" && ports === undefined && target.cidr?.length === 0;
  });
  if (considered) return undefined;
  return (
    `${label}: the VM may reach the gateway's address, which passt leads to this host's 127.0.0.1 (but with --no-map-gw), and where ` +
    "gvproxy has its own services: close it with --block @host --allow @dns:53, or say --allow @host when it is meant"
  );
}

function cable(port: FramePort, mtu: number): Network {
  return { label: port.label, port, isolated: false, mtu, close: () => port.close() };
}
