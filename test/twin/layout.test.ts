/** The stand-ins' layouts against the numbers of Apple's own headers, written down here a second time. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { needsTwin, twinLayout } from "./build.ts";

test("structures have the sizes of Apple's headers", needsTwin(), () => {
  const { sizes } = twinLayout();
  const expected = {
    ...{ vmpktdesc: 24, iovec: 16, msghdr: 48, msghdr_x: 56, pollfd: 8, timespec: 16, kevent: 32, sockaddr: 16 },
    sockaddr_un: 106,
    ...{ mach_timebase_info: 8, passwd: 72, group: 32, Block_layout: 32, ether_addr_t: 6 },
    ...{ vmnet_return_t: 4, operating_modes_t: 4, Boolean: 1, CFIndex: 8, CFTypeID: 8 },
    ...{ CFDictionaryKeyCallBacks: 48, CFDictionaryValueCallBacks: 40 },
  };
  deepEqual(sizes, expected);
});

test("fields lie where Apple's headers have them", needsTwin(), () => {
  const { offsets } = twinLayout();
  const expected = {
    vmpktdesc: { vm_pkt_size: 0, vm_pkt_iov: 8, vm_pkt_iovcnt: 16, vm_flags: 20 },
    iovec: { iov_base: 0, iov_len: 8 },
    msghdr: {
      ...{ msg_name: 0, msg_namelen: 8, msg_iov: 16, msg_iovlen: 24, msg_control: 32, msg_controllen: 40 },
      msg_flags: 44,
    },
    msghdr_x: {
      ...{ msg_name: 0, msg_namelen: 8, msg_iov: 16, msg_iovlen: 24, msg_control: 32, msg_controllen: 40 },
      ...{ msg_flags: 44, msg_datalen: 48 },
    },
    pollfd: { fd: 0, events: 4, revents: 6 },
    timespec: { tv_sec: 0, tv_nsec: 8 },
    kevent: { ident: 0, filter: 8, flags: 10, fflags: 12, data: 16, udata: 24 },
    sockaddr: { sa_len: 0, sa_family: 1 },
    sockaddr_un: { sun_len: 0, sun_family: 1, sun_path: 2 },
    mach_timebase_info: { numer: 0, denom: 4 },
    passwd: { pw_name: 0, pw_uid: 16, pw_gid: 20, pw_dir: 48 },
    group: { gr_name: 0, gr_gid: 16, gr_mem: 24 },
    Block_layout: { isa: 0, flags: 8, reserved: 12, invoke: 16, descriptor: 24 },
    Block_descriptor: { reserved: 0, size: 8 },
  };
  const flat = Object.entries(expected).flatMap(([structure, fields]) =>
    Object.entries(fields).map(([field, offset]) => [`${structure}.${field}`, offset] as const),
  );
  deepEqual(offsets, Object.fromEntries(flat));
});

test("constants are Apple's", needsTwin(), () => {
  const { constants } = twinLayout();
  const expected = {
    ...{ VMNET_SUCCESS: 1000, VMNET_FAILURE: 1001, VMNET_MEM_FAILURE: 1002, VMNET_INVALID_ARGUMENT: 1003 },
    ...{ VMNET_SETUP_INCOMPLETE: 1004, VMNET_INVALID_ACCESS: 1005, VMNET_PACKET_TOO_BIG: 1006 },
    ...{ VMNET_BUFFER_EXHAUSTED: 1007, VMNET_TOO_MANY_PACKETS: 1008, VMNET_SHARING_SERVICE_BUSY: 1009 },
    ...{ VMNET_NOT_AUTHORIZED: 1010, VMNET_HOST_MODE: 1000, VMNET_SHARED_MODE: 1001, VMNET_BRIDGED_MODE: 1002 },
    ...{ EAGAIN: 35, EINPROGRESS: 36, ENOTSOCK: 38, EDESTADDRREQ: 39, EMSGSIZE: 40, EADDRINUSE: 48, ENETDOWN: 50 },
    ...{ ECONNRESET: 54, ENOBUFS: 55, EISCONN: 56, ENOTCONN: 57, ETIMEDOUT: 60, ECONNREFUSED: 61, EOPNOTSUPP: 102 },
    ...{ O_NONBLOCK: 4, O_EXLOCK: 0x20, O_CLOEXEC: 0x1000000, F_SETFL: 4, F_DUPFD_CLOEXEC: 67, F_SETNOSIGPIPE: 73 },
    ...{ SOL_SOCKET: 0xffff, SO_SNDBUF: 0x1001, SO_RCVBUF: 0x1002, SO_ERROR: 0x1007, SO_NREAD: 0x1020 },
    ...{ SO_NOSIGPIPE: 0x1022, SO_NUMRCVPKT: 0x1112, MSG_PEEK: 2, MSG_TRUNC: 0x10, MSG_DONTWAIT: 0x80 },
    ...{ AF_UNIX: 1, AF_INET: 2, AF_INET6: 30, SOCK_STREAM: 1, SOCK_DGRAM: 2 },
    ...{ FIONBIO: 0x8004667e, FIONREAD: 0x4004667f, POLLIN: 1, POLLOUT: 4, POLLHUP: 0x10 },
    ...{ BLOCK_IS_GLOBAL: 1 << 28, kCFStringEncodingUTF8: 0x08000100, kCFNumberSInt32Type: 3 },
  };
  for (const [name, value] of Object.entries(expected)) equal(constants[name], value, name);
});
