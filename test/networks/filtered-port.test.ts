/**
 * Networks' ports that take frames out of what comes (another DHCP server's, another router's): what waits behind those is
 * asked for, since no event tells of it. The batches are of both kinds: one frame a slot, and more frames than slots.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ServingPort } from "../../src/networks/dhcp/serving-port.ts";
import { Advertiser } from "../../src/networks/nat/advertiser.ts";
import { AdvertisingPort } from "../../src/networks/nat/advertising-port.ts";
import { Batch, HEADROOM, strideFor } from "../../src/relay/batch.ts";
import type { FramePort } from "../../src/relay/port.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { ALL_NODES, emitRouterAdvertisement } from "../../src/wire/router-advertisement.ts";
import { Client, Server } from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";

const OWN = "192.168.77.2";
const MAC = 0x020000000001;
const ROUTER = parseIPv6("fe80::1")!;

function batch(slots: number, most: number): Batch {
  const stride = strideFor(1514);
  return new Batch(new Uint8Array(slots * stride + HEADROOM), 0, slots, stride, most);
}

interface Kind {
  readonly name: string;
  readonly foreign: Uint8Array;
  wrap(t: TestContext, inner: FramePort): FramePort;
}

const options = {
  routerMac: MAC,
  vmMac: MAC + 1,
  router: ROUTER,
  prefix: parseIPv6("fd12:3456:789a:1::")!,
  mtu: 1500,
  routes: true,
  dnsServers: [],
};

const KINDS: readonly Kind[] = [
  {
    name: "another DHCP server's",
    foreign: new Server().offer(new Client(), OWN),
    wrap: (_t, inner) => new ServingPort(inner, { answer: () => undefined }),
  },
  {
    name: "another router's",
    foreign: emitRouterAdvertisement({
      sourceMac: MAC,
      destinationMac: 0x333300000001,
      source: ROUTER,
      destination: ALL_NODES,
      hopLimit: 64,
      routerLifetime: 1800,
      mtu: 1500,
      dns: [],
    }),
    wrap: (t, inner) => {
      const advertiser = new Advertiser(options);
      t.after(() => advertiser.close());
      return new AdvertisingPort(inner, advertiser);
    },
  },
];

for (const { name, foreign, wrap } of KINDS) {
  for (const [slots, most] of [
    [2, 2],
    [2, 20],
    [16, 64],
  ] as const) {
    test(`behind ${most} frames of ${name} that filled a batch with ${slots} slots the next one is asked for`, async (t) => {
      const inner = new FakePort("tap");
      const port = wrap(t, inner);
      let wakes = 0;
      port.watch({ readable: true, writable: false }, () => {
        wakes++;
      });
      inner.waiting = Array.from({ length: most }, () => [...foreign]);
      inner.waiting.push([1]);
      let received = port.receive(batch(slots, most));
      for (let turns = 1; received === 0; turns++) {
        await turn();
        assert.equal(wakes, turns, "it wakes the relay, which comes again");
        received = port.receive(batch(slots, most));
      }
      assert.deepEqual([received, inner.waiting.length], [1, 0]);
      port.close();
    });
  }
}
