/**
 * Opens a TAP: a network interface of the kernel whose other end is a descriptor (kernel documentation,
 * networking/tuntap). A TAP that did not exist before is gone as soon as the descriptor is closed, however the process
 * ends.
 */
import { describeError, EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENXIO, EPERM } from "../native/linux/errno.ts";
import {
  ARPHRD_ETHER,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  IFREQ,
  type LinuxLibc,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  SIOCSIFHWADDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNSETIFF,
  TUNSETIFINDEX,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
  TUNSETVNETLE,
} from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";
import { VIRTIO_NET_HEADER } from "../wire/virtio-net.ts";

const DEVICE = "/dev/net/tun";

export interface TapDevice {
  readonly fd: number;
  /** The interface's name, as the kernel gave it. */
  readonly name: string;
  /** Whether it was made just now; else it had been there. */
  readonly created: boolean;
}

/**
 * Attaches to the TAP called `name`, or creates it; with `onlyNew` it must not be there. `option` is what the user typed,
 * for errors.
 * Throws UserError when the name cannot be one, without permission, or when another program has the TAP.
 */
export function openTap(libc: LinuxLibc, option: string, name: string, onlyNew = false): TapDevice {
  if (!/^[^\s/:%]{1,15}$/.test(name) || Buffer.byteLength(name) >= IFREQ.nameSize || name === "." || name === "..") {
    throw new UserError(
      `${option} ${name}: not an interface name; it has 1 to 15 bytes, without spaces, slashes, colons and percent signs`,
    );
  }
  return open(libc, `${option} ${name}`, name, onlyNew || libc.if_nametoindex(name) === 0);
}

/**
 * Creates a TAP called softnet0, softnet1 … whichever is free. `what` is what it is for, for errors; `index`: the number
 * that the interface shall have, where it matters.
 */
export function createTap(libc: LinuxLibc, what: string, index?: number): TapDevice {
  return open(libc, what, "softnet%d", true, index);
}

/** Sets the interface's own MAC address (6 bytes). Throws UserError when the kernel refuses it. */
export function setHardwareAddress(libc: LinuxLibc, tap: TapDevice, address: Uint8Array): void {
  const request = new Uint8Array(IFREQ.size);
  request[IFREQ.hardwareFamily] = ARPHRD_ETHER;
  request.set(address, IFREQ.hardwareAddress);
  if (libc.ioctl(tap.fd, SIOCSIFHWADDR, "void *", request) < 0) {
    throw new UserError(`TAP ${tap.name} does not take its MAC address: ${describeError(libc.errno())}`);
  }
}

function open(libc: LinuxLibc, what: string, name: string, created: boolean, index?: number): TapDevice {
  const fd = libc.open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw new UserError(`${what}: ${deviceError(libc.errno())}`);
  if (index !== undefined) chooseIndex(libc, what, fd, index);
  const request = new Uint8Array(IFREQ.size);
  request.set(Buffer.from(name));
  // Exclusive: an interface that another program makes between the look and the call is not taken over.
  const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (created ? IFF_TUN_EXCL : 0);
  new DataView(request.buffer).setUint16(IFREQ.flags, flags, true);
  if (libc.ioctl(fd, TUNSETIFF, "void *", request) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    throw new UserError(`${what}: ${attachError(errno, created)}`);
  }
  if (!resetHeader(libc, fd)) {
    const errno = libc.errno();
    libc.close(fd);
    throw new UserError(`${what}: the TAP does not take the virtio-net header's form: ${describeError(errno)}`);
  }
  const end = request.indexOf(0);
  return { fd, name: Buffer.from(request.subarray(0, end)).toString("utf8"), created };
}

/**
 * Sets what a TAP remembers of the program that had it before: the header's size and byte order, and offloads, which softnet
 * may not want. Returns false, with the error number set, when that fails.
 */
function resetHeader(libc: LinuxLibc, fd: number): boolean {
  const int = (value: number) => new Uint8Array(Int32Array.of(value).buffer);
  libc.ioctl(fd, TUNSETVNETLE, "void *", int(1)); // before Linux 4.0 there is no other order than the machine's
  if (libc.ioctl(fd, TUNSETVNETHDRSZ, "void *", int(VIRTIO_NET_HEADER)) < 0) return false;
  return disableOffloads(libc, fd);
}

/** The kernel finishes every frame before it hands it over. Returns false, with the error number set, when that fails. */
export function disableOffloads(libc: LinuxLibc, fd: number): boolean {
  return libc.ioctl(fd, TUNSETOFFLOAD, "unsigned long", 0) >= 0;
}

/**
 * Lets the kernel leave checksums and the cutting of large frames to us, with `ipv6` those of TCP in IPv6, too. It takes large
 * UDP of both families or of neither. Returns false when it does not take that.
 */
export function enableOffloads(libc: LinuxLibc, fd: number, ipv6: boolean): boolean {
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN | (ipv6 ? TUN_F_TSO6 : 0);
  const set = (offloads: number): boolean => libc.ioctl(fd, TUNSETOFFLOAD, "unsigned long", offloads) >= 0;
  return set(tcp | TUN_F_USO4 | TUN_F_USO6) || set(tcp);
}

function chooseIndex(libc: LinuxLibc, what: string, fd: number, index: number): void {
  if (libc.ioctl(fd, TUNSETIFINDEX, "void *", new Uint8Array(Uint32Array.of(index).buffer)) === 0) return;
  const errno = libc.errno();
  libc.close(fd);
  throw new UserError(`${what}: the TAP does not get its number: ${describeError(errno)}`);
}

function deviceError(errno: number): string {
  if (errno === ENOENT || errno === ENODEV || errno === ENXIO) {
    return `there is no ${DEVICE}; load the kernel's module with "modprobe tun", or pass the device into this container`;
  }
  if (errno === EACCES || errno === EPERM) return `no permission to open ${DEVICE}; run softnet as root`;
  return `cannot open ${DEVICE}: ${describeError(errno)}`;
}

function attachError(errno: number, created: boolean): string {
  if (errno === EPERM && created) {
    return 'creating a TAP needs root; run softnet as root, or make one for it with "ip tuntap add dev NAME mode tap user USER"';
  }
  if (errno === EPERM)
    return 'this TAP belongs to another user; run softnet as root, or make it with "user" set to yours';
  if (errno === EBUSY && created) return "there is an interface of this name by now; give another name, or start again";
  if (errno === EBUSY) return "another program is attached to this TAP; stop it, or name another TAP";
  if (errno === EINVAL) {
    return created ? "the kernel refuses this name" : "this interface is not a TAP; name one, or a name that is free";
  }
  return `cannot attach to the TAP: ${describeError(errno)}`;
}
