/** What becomes of flows when the policy or the binding changes (threat rows I12, I13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  CLOSED,
  change,
  echoIn,
  echoOut,
  errorIn,
  flowsOf,
  middle,
  REMOTE,
  remote,
  SYN,
  TRACKING,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import { ADDRESS, Bench, Client, DNS_SERVER, GATEWAY, NEIGHBOUR, packet, SECOND, Server, TCP, udp } from "./support.ts";

test("I12 a changed policy ends what it no longer allows, and nothing else", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut(), udpOut(), echoOut(8), tcpOut({ destination: remote(1) }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0", "out 93.184.216.34/32:443"]), 2);
  bench.dropsIn("flow.cut", tcpIn({ flags: SYN | ACK_FLAG }), udpIn());
  bench.passesIn(echoIn(0), tcpIn({ source: remote(1), flags: SYN | ACK_FLAG }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0", "out @global"]), 2);
  assert.equal(flowsOf(bench), 0);
});

test("I12 what the far side of a cut flow goes on sending opens nothing, however long it does: no way in is closed here", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle));
  bench.passesOut(udpOut());
  bench.passesIn(udpIn(), tcpIn(middle));
  assert.equal(change(bench, [], ["out 93.184.216.34/32"]), 2);
  assert.equal(flowsOf(bench), 0);
  for (let second = 0; second < 1000; second += 20) {
    bench.dropsIn("flow.cut", tcpIn(middle), udpIn());
    bench.dropsOut("policy.block", tcpOut(middle), udpOut());
    bench.wait(20 * SECOND);
  }
  bench.wait(101 * SECOND);
  bench.passesIn(udpIn()); // after 121 s of silence it is something new, and no rule covers it
  bench.wait(7319 * SECOND);
  bench.dropsIn("flow.cut", tcpIn(middle)); // 7,440 s are its patience
  bench.wait(7441 * SECOND);
  bench.passesIn(tcpIn(middle));
});

test("I12 a half-open flow that is cut is not completed from the far side", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  assert.equal(change(bench, [], ["out 93.184.216.34/32"]), 1);
  bench.dropsIn("flow.cut", tcpIn({ flags: SYN | ACK_FLAG }));
  bench.dropsOut("policy.block", tcpOut(middle));
});

test("I12 a connection from outside whose rule is withdrawn is cut for the VM's answers, too", () => {
  const bench = tracking({ gateway: GATEWAY, allow: ["in 93.184.216.34/32:22"], block: ["in 0.0.0.0/0"] });
  const ports = { own: 22, port: 50_000 };
  bench.passesIn(tcpIn(ports));
  bench.passesOut(tcpOut({ ...ports, flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn({ ...ports, ...middle }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0"]), 1);
  bench.dropsIn("policy.block", tcpIn({ ...ports, ...middle }), tcpIn(ports));
  bench.dropsOut("flow.cut", tcpOut({ ...ports, ...middle }));
});

test("I12 a cut flow that is allowed again lives on; a bare SYN that may opens it anew", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.dropsIn("flow.cut", tcpIn(middle));
  assert.equal(change(bench, [], ["in 10.0.0.0/8"]), 0);
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(tcpIn(middle));
  bench.passesOut(tcpOut(middle));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.passesIn(tcpIn()); // from outside, which no rule forbids
  assert.equal(flowsOf(bench), 1);
  bench.passesOut(tcpOut({ flags: SYN | ACK_FLAG }));
});

test("I14 an ICMP error for a cut flow is for none", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(udpOut());
  bench.passesIn(errorIn(udpOut()));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.dropsIn("flow.icmp", errorIn(udpOut()));
});

test("I12 a flow is judged as the packet that opened it: its direction, its port", () => {
  const bench = tracking(TRACKING);
  bench.passesIn(tcpIn({ own: 22, port: 50_000 }));
  bench.passesOut(tcpOut({ own: 22_000, port: 443 }));
  assert.equal(change(bench, [], ["out 93.184.216.34/32:50000", "in 93.184.216.34/32:443", "in 0.0.0.0/0:50000"]), 0);
  assert.equal(change(bench, [], ["in 93.184.216.34/32:22"]), 1);
  assert.equal(change(bench, [], ["in @host", "93.184.216.34/32:443"]), 1);
});

test("I12 a thousand changes leave a flow that stays allowed alone", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut());
  for (let index = 0; index < 1000; index++) {
    assert.equal(
      change(bench, [`93.184.0.0/${16 + (index % 8)}`], ["in 0.0.0.0/0", `10.0.0.0/${1 + (index % 32)}`]),
      0,
    );
    bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
    bench.passesOut(tcpOut(middle));
  }
  assert.equal(flowsOf(bench), 1);
});

test("I12 in a policy that becomes stateless what the other side opened goes on", () => {
  const bench = tracking(CLOSED);
  change(bench, ["in 0.0.0.0/0"]);
  bench.passesIn(tcpIn());
  bench.passesOut(udpOut());
  assert.equal(change(bench, [], ["93.0.0.0/8"]), 1);
  assert.equal(bench.guard.stateful, false);
  assert.equal(flowsOf(bench), 1);
});

test("a policy that may change notes flows while it is stateless, so that they live on in a stateful one", () => {
  const bench = tracking({ live: true });
  bench.passesIn(tcpIn({ own: 22, port: 9 }), udpIn(), echoIn(8));
  bench.passesOut(tcpOut(), tcpOut({ own: 1, ...middle }), echoOut(8));
  bench.dropsOut("policy.destination", tcpOut({ destination: NEIGHBOUR }));
  assert.equal(flowsOf(bench), 6);
  assert.equal(change(bench, ["in 10.0.0.0/8"], ["in 0.0.0.0/0"]), 3);
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }), tcpIn({ own: 1, ...middle }), echoIn(0));
  bench.dropsIn("policy.block", udpIn(), tcpIn({ own: 22, port: 9, ...middle }), echoIn(8));

  const deaf = tracking();
  change(deaf, []);
  deaf.passesOut(tcpOut());
  change(deaf, [], ["in 0.0.0.0/0"]);
  deaf.dropsIn("flow.unknown", tcpIn({ flags: SYN | ACK_FLAG }));
});

test("I13 a stateless policy that may change refuses nothing for want of room", () => {
  const bench = tracking({ live: true });
  for (let index = 0; index < 300; index++) bench.passesOut(tcpOut({ own: 1 + index }));
  assert.equal(flowsOf(bench), 256);
  for (let index = 0; index < 32_768; index++) bench.out(udpOut({ destination: remote(index) }));
  bench.passesOut(udpOut({ own: 9 }));
  bench.passesIn(udpIn({ own: 10 }));
  assert.equal(flowsOf(bench), 32_768);
});

test("flows are judged again when the gateway or the DNS servers change, and end with another address", () => {
  const bench = new Bench(CLOSED);
  const client = new Client();
  const dns = { destination: DNS_SERVER, port: 53 };
  bench.bind(ADDRESS, client, new Server());
  bench.passesOut(udpOut(), udpOut(dns), tcpOut({ destination: GATEWAY }));
  const renew = (server: Server): void => {
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.passesIn(server.ack(client, ADDRESS));
  };
  renew(new Server());
  assert.equal(flowsOf(bench), 3);
  renew(new Server({ dns: ["192.168.64.54"] }));
  assert.equal(flowsOf(bench), 2);
  renew(new Server({ dns: ["192.168.64.54"], router: "192.168.64.2" }));
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(udpIn());
  bench.bind("192.168.64.77", client, new Server());
  assert.equal(flowsOf(bench), 0);
});

test("flows outlive their binding's end when the VM gets the same address again, but for the gateway's", () => {
  const bench = new Bench(CLOSED);
  const client = new Client();
  bench.bind(ADDRESS, client);
  bench.passesOut(tcpOut(middle), tcpOut({ destination: GATEWAY }));
  bench.passesOut(client.release(ADDRESS, GATEWAY));
  assert.equal(flowsOf(bench), 1);
  bench.dropsIn("policy.block", tcpIn(middle));
  bench.bind(ADDRESS, client);
  bench.passesIn(tcpIn(middle));
});

test("@dns and @host follow the binding in both directions", () => {
  const bench = new Bench({ allow: ["@dns:5353"], block: ["in @host", "out @host:22"] });
  bench.bind();
  bench.passesOut(udp(1, 5353, { destination: DNS_SERVER }), udp(1, 53, { destination: DNS_SERVER }));
  bench.dropsOut("policy.destination", udp(1, 54, { destination: DNS_SERVER }));
  bench.dropsIn("policy.block", tcpIn({ source: GATEWAY }));
  bench.dropsOut("policy.block", tcpOut({ destination: GATEWAY, port: 22 }));
  bench.passesOut(tcpOut({ destination: GATEWAY, port: 23 }));
  bench.passesIn(tcpIn({ source: GATEWAY, port: 23, flags: SYN | ACK_FLAG }));
});

test("D27 a policy that blocks everything cuts off neither DHCP nor ARP", () => {
  const bench = new Bench({ block: ["in 0.0.0.0/0", "out 0.0.0.0/0", "0.0.0.0/0:1-65535"] });
  bench.bind();
  const client = new Client();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(new Server().ack(client, ADDRESS));
  bench.dropsOut("policy.block", tcpOut(), udpOut());
  bench.dropsOut("flow.unknown", packet(TCP, new Uint8Array(20), { destination: REMOTE }));
});
