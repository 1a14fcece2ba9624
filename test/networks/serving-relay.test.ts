/** The port with the DHCP server in it, under a real relay with a real guard. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type BindingChange, createGuard, type Guard } from "../../src/index.ts";
import { ServingPort } from "../../src/networks/dhcp/serving-port.ts";
import { Relay, type RelayEnd } from "../../src/relay/relay.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import { arp, Client, EVERYONE_MAC, GATEWAY_MAC, icmp, MESSAGE, Server, VM } from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";
import { emptyBatch, GATEWAY, OWN, served } from "./serving-support.ts";

interface Wired {
  readonly vm: FakePort;
  readonly tap: FakePort;
  readonly relay: Relay;
  readonly guard: Guard;
  readonly changes: string[];
  readonly ends: RelayEnd[];
  /** What the VM's client hears in answer to a frame. */
  say(...frames: readonly Uint8Array[]): Promise<number[][]>;
}

function wire(t: TestContext): Wired {
  const vm = new FakePort("vm");
  const tap = new FakePort("tap");
  const changes: string[] = [];
  const ends: RelayEnd[] = [];
  const guard = createGuard({
    macAddress: VM,
    origin: "served",
    gateway: GATEWAY,
    gatewayMacAddress: GATEWAY_MAC,
    dhcpServer: GATEWAY,
    subnet: "192.168.77.0/30",
    onBinding: (change: BindingChange) => changes.push(change.kind === "lost" ? change.why : change.kind),
  });
  const relay = new Relay({
    vm,
    network: new ServingPort(tap, served()),
    guard,
    clock: () => Math.floor(performance.now() * 1000),
    batches: [emptyBatch(), emptyBatch()],
    onEnd: (end) => ends.push(end),
  });
  t.after(() => relay.stop());
  relay.start();
  const say = async (...frames: readonly Uint8Array[]): Promise<number[][]> => {
    vm.waiting.push(...frames.map((frame) => [...frame]));
    vm.wake(true, false);
    await turn();
    await turn();
    return vm.taken.splice(0);
  };
  return { vm, tap, relay, guard, changes, ends, say };
}

const originOf = (guard: Guard): string | undefined => guard.binding.ipv4?.origin;
const typeOf = (frame: readonly number[]): number => frame[MESSAGE + 242]!;
const OFFER = 2;
const ACK = 5;
const NAK = 6;

test("a whole conversation binds the guard, as served, and nothing of it reaches the network", async (t) => {
  const { tap, guard, relay, changes, ends, say } = wire(t);
  const client = new Client();
  const ping = icmp(8, { source: OWN });

  await say(ping);
  assert.deepEqual(tap.taken, [], "unbound");
  assert.deepEqual((await say(client.discover())).map(typeOf), [OFFER]);
  assert.equal(originOf(guard), undefined);
  assert.deepEqual((await say(client.select(OWN, GATEWAY))).map(typeOf), [ACK]);
  const { ipv4: bound } = guard.binding;
  assert.ok(bound !== undefined);
  assert.deepEqual(
    [formatIPv4(bound.address), bound.origin, formatIPv4(bound.server), bound.expiry],
    [OWN, "served", GATEWAY, Number.POSITIVE_INFINITY],
  );
  assert.deepEqual([formatIPv4(bound.router), bound.dnsServers.map(formatIPv4)], [GATEWAY, ["192.0.2.53"]]);

  await say(ping);
  assert.deepEqual(tap.taken, [[...ping]]);
  assert.deepEqual((await say(client.renew(OWN, GATEWAY))).map(typeOf), [ACK]);
  assert.deepEqual((await say(client.inform(OWN))).map(typeOf), [ACK]);
  assert.deepEqual(await say(client.release(OWN, GATEWAY)), []);
  assert.equal(originOf(guard), undefined);
  assert.deepEqual(changes, ["learned", "renewed", "released"]);

  assert.deepEqual(tap.taken, [[...ping]], "UDP 67 reached the network");
  assert.deepEqual(relay.counters.snapshot().egress.drops, { "ipv4.unbound": 1 });
  assert.deepEqual(relay.counters.snapshot().ingress.drops, {});
  assert.deepEqual(ends, []);
});

test("rapid commit, INIT-REBOOT, the broadcast flag: each binds", async (t) => {
  const { guard, relay, say } = wire(t);
  const quick = new Client({ xid: 1, options: [[80, Uint8Array.of()]] });
  assert.deepEqual((await say(quick.discover())).map(typeOf), [ACK]);
  assert.equal(originOf(guard), "served");
  await say(quick.release(OWN, GATEWAY));

  assert.deepEqual((await say(new Client({ xid: 2 }).reboot(OWN))).map(typeOf), [ACK]);
  assert.equal(originOf(guard), "served");
  await say(quick.release(OWN, GATEWAY));

  const deaf = new Client({ xid: 3, broadcast: true });
  assert.deepEqual((await say(deaf.discover())).map(typeOf), [OFFER]);
  const [ack] = await say(deaf.select(OWN, GATEWAY));
  assert.deepEqual(ack!.slice(0, 6), [...Buffer.from(EVERYONE_MAC.replaceAll(":", ""), "hex")]);
  assert.equal(originOf(guard), "served");
  assert.deepEqual(relay.counters.snapshot().ingress.drops, {});
});

test("INIT-REBOOT of another network's address is refused, then the client starts anew", async (t) => {
  const { guard, changes, say } = wire(t);
  const client = new Client();
  assert.deepEqual((await say(client.reboot("10.0.0.5"))).map(typeOf), [NAK]);
  assert.deepEqual(changes, []);
  await say(client.discover());
  await say(client.select(OWN, GATEWAY));
  assert.equal(originOf(guard), "served");
});

test("a client that declines is offered the same address again", async (t) => {
  const { guard, changes, say } = wire(t);
  const client = new Client();
  await say(client.discover());
  await say(client.select(OWN, GATEWAY));
  assert.deepEqual(await say(client.decline(OWN, GATEWAY)), []);
  assert.equal(originOf(guard), undefined);
  await say(client.discover());
  await say(client.select(OWN, GATEWAY));
  assert.equal(originOf(guard), "served");
  assert.deepEqual(changes, ["learned", "declined", "learned"]);
});

test("replies wait while the VM takes no frames, and come when it does", async (t) => {
  const { vm, tap, guard, say } = wire(t);
  vm.room = 0;
  tap.waiting = [[...arp({ from: GATEWAY_MAC, to: VM, sender: GATEWAY, target: OWN })]];
  tap.wake(true, false); // blocks the way to the VM
  assert.deepEqual(await say(new Client().discover()), []);
  vm.room = 10;
  vm.wake(false, true);
  await turn();
  await turn();
  assert.equal(typeOf(vm.taken.at(-1)!), OFFER);
  assert.equal(originOf(guard), undefined);
});

test("a rogue server on the network can neither offer nor refuse", async (t) => {
  const { vm, tap, changes, say } = wire(t);
  const client = new Client();
  const rogue = new Server({ address: GATEWAY, mac: GATEWAY_MAC });
  await say(client.discover());
  await say(client.select(OWN, GATEWAY));
  await say(client.rebind(OWN));
  tap.waiting = [[...rogue.nak(client)], [...rogue.ack(client, OWN)]];
  tap.wake(true, false);
  await turn();
  assert.deepEqual(vm.taken, []);
  assert.deepEqual(changes, ["learned", "renewed"]);
});
