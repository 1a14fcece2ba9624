import assert from "node:assert/strict";
import { test } from "node:test";
import { SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { Links } from "../../src/native/linux/links.ts";
import { findAttribute, makeAttribute } from "../../src/native/linux/netlink.ts";
import { UnixPeers } from "../../src/native/linux/sock-diag.ts";
import { inodeOf } from "../../src/ports/descriptor.ts";
import { libc, pair } from "../support/sockets.ts";

test("interfaces are found by name and by index", () => {
  const links = new Links(libc);
  const loopback = links.byName("lo");
  assert.equal(loopback?.index, libc.if_nametoindex("lo"));
  assert.equal(loopback?.name, "lo");
  assert.equal(loopback?.master, 0);
  assert.ok(loopback.mtu > 0);
  assert.deepEqual(links.byIndex(loopback.index), loopback);
  assert.equal(links.byName("no-such-link"), undefined);
  assert.equal(links.byIndex(2 ** 30), undefined);
  links.close();
});

test("a datagram socket's peer is seen to be there, and to be gone", () => {
  const peers = UnixPeers.open(libc);
  assert.ok(peers !== undefined);
  const { fd, end } = pair(SOCK_DGRAM);
  const inode = inodeOf(fd);
  assert.equal(peers.peerOf(inode), "present");
  end.close();
  assert.equal(peers.peerOf(inode), "gone");
  libc.close(fd);
  assert.equal(peers.peerOf(inode), "unknown");
  peers.close();
});

test("an attribute list that is cut or whose lengths lie is read without a fault", () => {
  const list = Buffer.concat([makeAttribute(1, Buffer.from("abc")), makeAttribute(2, Uint8Array.of(1, 2, 3, 4))]);
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  assert.equal(findAttribute(view(list), 0, 2)?.getUint32(0, true), 0x04030201);
  assert.equal(findAttribute(view(list), 0, 3), undefined);
  for (let end = 0; end < list.length; end++) assert.equal(findAttribute(view(list.subarray(0, end)), 0, 2), undefined);
  for (const length of [0, 3, 100]) {
    const broken = Buffer.from(list);
    broken.writeUInt16LE(length, 0);
    assert.equal(findAttribute(view(broken), 0, 2), undefined);
  }
});
