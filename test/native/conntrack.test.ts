/** The kernel's table of connections: what is deleted is one address's, and all of it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deleteConnections } from "../../src/native/linux/conntrack.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot, pathOf } from "../support/tools.ts";

const count = (): number => Number(readFileSync("/proc/sys/net/netfilter/nf_conntrack_count", "latin1"));

/** Begins `number` connections over UDP. */
async function begin(from: string, to: string, number: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.bind(0, from);
  await once(socket, "listening");
  for (let port = 2000; port < 2000 + number; port++) {
    await new Promise((resolve) => socket.send("x", port, to, resolve));
  }
  socket.close();
}

test("H4 an address's connections are deleted from both ends, others' stay", {
  ...needsRoot(),
  ...needs("ip", "nft"),
}, async () => {
  const leave = enterFreshNamespace();
  try {
    ip("link", "set", "lo", "up");
    const track =
      "add table ip t; add chain ip t o { type filter hook output priority 0; }; add rule ip t o ct state new accept";
    execFileSync(pathOf("nft")!, [track]);
    await begin("127.0.0.5", "127.0.0.9", 100);
    await begin("127.0.0.7", "127.0.0.5", 10);
    await begin("127.0.0.7", "127.0.0.9", 3);
    assert.equal(count(), 113);
    assert.equal(deleteConnections(libc, parseIPv4("127.0.0.5")!, 64), 64);
    assert.equal(deleteConnections(libc, parseIPv4("127.0.0.5")!, 64), 46);
    assert.equal(deleteConnections(libc, parseIPv4("127.0.0.5")!, 64), 0);
    assert.equal(count(), 3);
  } finally {
    leave();
  }
});
