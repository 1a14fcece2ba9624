/** An interface of the stand-in on a real Linux network: frames reach Linux' own stack through a TAP, and its answers come back. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { needsTun } from "../support/tools.ts";
import { apple, awake, Packets } from "./apple.ts";
import { needsTwin } from "./build.ts";

const GUEST = [2, 0, 0, 0, 0, 0x11];
const [ETHERNET_ARP, ARP_REQUEST, ARP_REPLY] = [0x0806, 1, 2];

/** An ARP request of the guest (RFC 826) for the gateway, 60 bytes. */
function arpRequest(): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...GUEST, ETHERNET_ARP >> 8, ETHERNET_ARP & 255]);
  frame.set([0, 1, 8, 0, 6, 4, 0, ARP_REQUEST, ...GUEST, 192, 168, 64, 2, 0, 0, 0, 0, 0, 0, 192, 168, 64, 1], 14);
  return frame;
}

test("frames travel between vmnet's calls and a TAP of a network namespace", { ...needsTun(), ...needsTwin() }, () =>
  awake(
    (async () => {
      const twin = apple();
      const leave = enterFreshNamespace();
      try {
        twin.control.attachTap("vmnet0");
        ip("address", "add", "192.168.64.1/24", "dev", "vmnet0");
        ip("link", "set", "vmnet0", "address", "02:00:00:00:00:01", "up");
        const interface_ = await twin.running();
        const events: (() => void)[] = [];
        let pending = 0;
        twin.onEvent(interface_, () => {
          pending++;
          events.shift()?.();
        });
        const packets = new Packets(16);
        equal(twin.calls.write(interface_, packets.reset(60, 1).put(0, arpRequest()).descriptors, packets.count), 1000);
        let reply: Uint8Array | undefined;
        while (reply === undefined) {
          if (pending === 0) await new Promise<void>((resolve) => events.push(resolve));
          pending = 0;
          do {
            equal(twin.calls.read(interface_, packets.reset().descriptors, packets.count), 1000);
            for (let i = 0; i < packets.moved(); i++) {
              const bytes = packets.bytes(i);
              if (bytes[12] === 0x08 && bytes[13] === 0x06 && bytes[21] === ARP_REPLY) reply = bytes.slice();
            }
          } while (packets.moved() > 0);
        }
        deepEqual([...reply.subarray(0, 6)], GUEST);
        deepEqual([...reply.subarray(22, 32)], [2, 0, 0, 0, 0, 1, 192, 168, 64, 1]);
        equal(await twin.stopped(interface_), 1000);
        equal(ip("-brief", "link", "show", "type", "tun").trim(), ""); // the TAP went with its interface
      } finally {
        leave();
      }
    })(),
  ),
);
