/** Whose MAC the gateway's address belongs to, as the VM is told (threat row A9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADDRESS,
  arp,
  arpReply,
  Bench,
  Client,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  NEIGHBOUR,
  OTHER_MAC,
  SECOND,
  Server,
  VM,
} from "./support.ts";

const SERVER = "192.168.64.2";
const SERVER_MAC = "02:00:00:00:00:02";

/** The VM has its address from a server that is not the gateway, so that nothing tells the gateway's MAC yet. */
function bound(): Bench {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ address: SERVER, mac: SERVER_MAC }));
  return bench;
}

/** The VM asked and GATEWAY_MAC answered. */
function acquainted(bench = bound()): Bench {
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  return bench;
}

const asks = (from: string) => arp({ sender: GATEWAY, target: ADDRESS, from });
const announces = (from: string) => arp({ sender: GATEWAY, target: GATEWAY, from });

test("A9 the first answer to the VM's own request tells the gateway's MAC, and it stays", () => {
  const bench = acquainted();
  bench.passesIn(asks(GATEWAY_MAC), announces(GATEWAY_MAC), arpReply(GATEWAY, GATEWAY_MAC));
  bench.dropsIn("arp.gateway", asks(OTHER_MAC), announces(OTHER_MAC), arpReply(GATEWAY, OTHER_MAC));
  bench.wait(3600 * SECOND - 1);
  bench.passesOut(arp());
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 before the VM asked, nobody may speak for the gateway", () => {
  const bench = bound();
  for (const from of [GATEWAY_MAC, OTHER_MAC]) {
    bench.dropsIn("arp.gateway", asks(from), announces(from), arpReply(GATEWAY, from));
  }
});

test("A9 a claim of the gateway's address in an Ethernet frame from the gateway drops by its hardware address", () => {
  const bench = acquainted();
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, GATEWAY_MAC, { senderMac: OTHER_MAC }));
});

test("A9 the answer is a reply, to the VM, at most 3 s after its request for the gateway from its own address", () => {
  const answers = {
    "a broadcast reply": arpReply(GATEWAY, OTHER_MAC, { to: EVERYONE_MAC }),
    "another target hardware address": arpReply(GATEWAY, OTHER_MAC, { targetMac: OTHER_MAC }),
    "another target address": arpReply(GATEWAY, OTHER_MAC, { target: NEIGHBOUR }),
    "a request": arp({ sender: GATEWAY, target: ADDRESS, from: OTHER_MAC, to: VM, targetMac: VM }),
    "a group address": arpReply(GATEWAY, OTHER_MAC, { senderMac: "03:00:00:00:00:01" }),
  };
  for (const [what, answer] of Object.entries(answers)) {
    const bench = bound();
    bench.passesOut(arp());
    assert.equal(bench.in(answer), "arp.gateway", what);
    bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  }
});

test("A9 an answer of a virtual router, whose sender hardware address is not its Ethernet source, is learned", () => {
  const bench = bound();
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC, { senderMac: GATEWAY_MAC }));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  assert.equal(bench.in(arpReply(GATEWAY, OTHER_MAC)), "arp.gateway");
});

test("A9 the answer may take 3 s, and not 1 µs longer", () => {
  for (const [late, verdict] of [
    [0, "pass"],
    [1, "arp.gateway"],
  ] as const) {
    const bench = bound();
    bench.passesOut(arp());
    bench.wait(3 * SECOND + late);
    assert.equal(bench.in(arpReply(GATEWAY, GATEWAY_MAC)), verdict);
  }
});

test("A9 without an address there is none that an answer could be for: 0.0.0.0 is no address", () => {
  const bench = new Bench({ gateway: GATEWAY });
  const client = new Client();
  bench.bind(ADDRESS, client);
  bench.passesOut(arp(), client.release(ADDRESS, GATEWAY));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC, { target: "0.0.0.0" }));
});

test("A9 a request for another address, or a dropped one, invites no answer", () => {
  const bench = bound();
  bench.passesOut(arp({ target: NEIGHBOUR }), arp({ operation: 2, target: GATEWAY }));
  bench.dropsOut("arp.hardware-address", arp({ senderMac: OTHER_MAC }));
  bench.dropsOut("arp.sender-address", arp({ sender: NEIGHBOUR }));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 a unicast request invites an answer too", () => {
  const bench = bound();
  bench.passesOut(arp({ to: GATEWAY_MAC, targetMac: GATEWAY_MAC }));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 the MAC moves once three requests, 1 s apart, stayed unanswered for 1 s each", () => {
  const bench = acquainted();
  for (let request = 0; request < 3; request++) {
    bench.passesOut(arp());
    bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
    bench.wait(SECOND);
  }
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 two unanswered requests do not move it", () => {
  const bench = acquainted();
  for (let request = 0; request < 2; request++) {
    bench.passesOut(arp());
    bench.wait(SECOND);
  }
  bench.passesOut(arp());
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 requests less than 1 s apart count as one", () => {
  const bench = acquainted();
  for (let request = 0; request < 4; request++) {
    bench.passesOut(arp());
    bench.wait(SECOND - 1);
  }
  bench.passesOut(arp());
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  const burst = acquainted();
  for (let request = 0; request < 100; request++) burst.passesOut(arp());
  burst.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
});

test("A9 a sign of life from the known MAC starts the count again", () => {
  for (const sign of [asks(GATEWAY_MAC), announces(GATEWAY_MAC), arpReply(GATEWAY, GATEWAY_MAC)]) {
    const bench = acquainted();
    for (let request = 0; request < 3; request++) {
      bench.passesOut(arp());
      bench.wait(SECOND);
    }
    bench.passesIn(sign);
    for (let request = 0; request < 3; request++) {
      bench.passesOut(arp());
      bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
      bench.wait(SECOND);
    }
    bench.passesOut(arp());
    bench.passesIn(arpReply(GATEWAY, OTHER_MAC));
  }
});

test("A9 a forged claim is no sign of life", () => {
  const bench = acquainted();
  for (let request = 0; request < 3; request++) {
    bench.passesOut(arp());
    bench.dropsIn("arp.gateway", asks(OTHER_MAC), arpReply(GATEWAY, OTHER_MAC));
    bench.wait(SECOND);
  }
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 Linux finds a gateway that moved: three unicast requests to the old MAC, then broadcast", () => {
  const bench = acquainted();
  for (let request = 0; request < 3; request++) {
    bench.passesOut(arp({ to: GATEWAY_MAC, targetMac: GATEWAY_MAC }));
    bench.wait(1_004_000);
  }
  bench.passesOut(arp());
  bench.wait(200);
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC));
});

test("A9 a gateway that served the lease may ask for the VM first, from the MAC that served it", () => {
  const bench = new Bench();
  bench.bind();
  bench.dropsIn("arp.gateway", asks(OTHER_MAC), arpReply(GATEWAY, GATEWAY_MAC), arpReply(GATEWAY, OTHER_MAC));
  bench.dropsIn("arp.gateway", arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC, senderMac: OTHER_MAC }));
  bench.dropsIn("arp.gateway", arp({ sender: GATEWAY, target: ADDRESS, from: OTHER_MAC, senderMac: GATEWAY_MAC }));
  bench.passesIn(asks(GATEWAY_MAC));
});

test("A9 the MAC that served a lease is trusted no longer than the lease", () => {
  const bench = new Bench({ gateway: GATEWAY });
  bench.bind();
  bench.passesIn(asks(GATEWAY_MAC));
  bench.passesOut(new Client().release(ADDRESS, GATEWAY));
  bench.dropsIn("arp.gateway", asks(GATEWAY_MAC));
  bench.bind(ADDRESS, new Client({ xid: 2 }), new Server({ address: SERVER, mac: SERVER_MAC }));
  bench.dropsIn("arp.gateway", asks(GATEWAY_MAC), asks(SERVER_MAC));
});

test("A9 a relayed ACK, or one that only names the gateway as its server, makes nobody the gateway", () => {
  for (const words of [{ identifier: "10.9.0.67" }, { address: SERVER, identifier: GATEWAY }]) {
    const bench = new Bench();
    bench.bind(ADDRESS, new Client(), new Server(words));
    bench.dropsIn("arp.gateway", asks(GATEWAY_MAC));
  }
});

test("A9 a claim of an address that is the VM's and the gateway's must pass as both", () => {
  const bench = new Bench({ address: ADDRESS, gateway: ADDRESS, gatewayMacAddress: GATEWAY_MAC });
  bench.passesOut(arp({ sender: "0.0.0.0", target: ADDRESS }));
  bench.passesIn(arpReply(ADDRESS, GATEWAY_MAC));
  bench.dropsIn("arp.gateway", arpReply(ADDRESS, OTHER_MAC));
  bench.dropsIn("arp.conflict", arp({ sender: ADDRESS, target: ADDRESS, from: GATEWAY_MAC }));
});

test("A9 a request of the gateway tells no MAC: the VM's own question does", () => {
  const bench = new Bench();
  bench.bind();
  bench.passesIn(asks(GATEWAY_MAC));
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC));
  bench.dropsIn("arp.gateway", asks(GATEWAY_MAC));
});

test("A9 where the network knows the gateway's MAC, nothing moves it", () => {
  const bench = new Bench({ gateway: GATEWAY, gatewayMacAddress: GATEWAY_MAC });
  bench.bind(ADDRESS, new Client(), new Server({ address: SERVER, mac: SERVER_MAC }));
  bench.passesIn(asks(GATEWAY_MAC), arpReply(GATEWAY, GATEWAY_MAC));
  for (let request = 0; request < 6; request++) {
    bench.passesOut(arp());
    bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC), asks(OTHER_MAC));
    bench.wait(SECOND);
  }
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("A9 a configured gateway is guarded from the start and stays when the binding ends", () => {
  const bench = new Bench({ gateway: GATEWAY });
  bench.dropsIn("arp.gateway", announces(OTHER_MAC), announces(GATEWAY_MAC));
  bench.bind();
  acquainted(bench);
  bench.passesOut(new Client().release(ADDRESS, GATEWAY));
  bench.dropsIn("arp.gateway", announces(OTHER_MAC));
  bench.passesIn(announces(GATEWAY_MAC));
});

test("A9 the gateway of option 3 ends with the binding, and its MAC with it", () => {
  const bench = acquainted();
  bench.passesOut(new Client().release(ADDRESS, SERVER));
  bench.passesIn(announces(OTHER_MAC));
  bench.bind(ADDRESS, new Client({ xid: 2 }), new Server({ address: SERVER, mac: SERVER_MAC }));
  bench.dropsIn("arp.gateway", announces(GATEWAY_MAC), announces(OTHER_MAC));
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, OTHER_MAC));
});

test("A9 a renewal that names another router moves the gateway and forgets the old one's MAC", () => {
  const bench = acquainted();
  const client = new Client({ xid: 2 });
  const moved = "192.168.64.254";
  bench.passesOut(client.renew(ADDRESS, SERVER));
  bench.passesIn(new Server({ address: SERVER, mac: SERVER_MAC, router: moved }).ack(client, ADDRESS));
  bench.passesIn(announces(OTHER_MAC));
  bench.dropsIn("arp.gateway", arp({ sender: moved, target: moved, from: GATEWAY_MAC }));
  bench.passesOut(arp({ target: moved }));
  bench.passesIn(arpReply(moved, GATEWAY_MAC));
  bench.dropsIn("arp.gateway", arpReply(moved, OTHER_MAC));
});

test("A9 a renewal of the same router keeps its MAC, also where the ACK leaves option 3 out", () => {
  for (const router of [GATEWAY, undefined]) {
    const bench = acquainted();
    const client = new Client({ xid: 2 });
    bench.passesOut(client.renew(ADDRESS, SERVER));
    bench.passesIn(new Server({ address: SERVER, mac: SERVER_MAC, router }).ack(client, ADDRESS));
    bench.dropsIn("arp.gateway", announces(OTHER_MAC));
    bench.passesIn(announces(GATEWAY_MAC));
  }
});

test("A9 an ARP sender that is both the VM's own address and unprobed is a conflict, not a matter of the gateway", () => {
  const bench = new Bench({ address: ADDRESS, gateway: GATEWAY });
  bench.dropsIn("arp.conflict", arpReply(ADDRESS, GATEWAY_MAC));
});
