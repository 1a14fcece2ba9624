/** The second guard about what ICMP errors quote (I14) and about group frames with packets for one host (I17). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { A, ACK, B, GATEWAY, ICMP, icmp, type Ports, quoting, SECOND, Talk, TCP, tcp, UDP, udp, VM } from "./talk.ts";

const PORTS: Ports = [40000, 33434];
const BACK: Ports = [33434, 40000];
const ALL = "ff:ff:ff:ff:ff:ff";

test("I14 under every policy an ICMP error quotes what its receiver could have sent", () => {
  const stateless = new Talk({ allow: ["0.0.0.0/0"] });
  const stateful = new Talk({ allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] });
  stateful.out(A, UDP, udp(PORTS));
  for (const talk of [stateless, stateful]) {
    const known = talk === stateful ? "flow.icmp" : "pass";
    const right = quoting(VM, A, PORTS);
    assert.equal(talk.in("9.9.9.9", ICMP, right), "pass", "any router may tell");
    assert.equal(talk.in("9.9.9.9", ICMP, right.slice(0, -1)), "icmp.quote", "27 bytes");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, [40001, 33434])), known, "another port");
    assert.equal(talk.in(A, ICMP, quoting(VM, B, PORTS)), known, "another remote side");
    assert.equal(talk.in(A, ICMP, quoting(A, VM, BACK)), "icmp.quote", "the same direction");
    assert.equal(talk.in(A, ICMP, quoting("192.168.64.6", A, PORTS)), "icmp.quote", "another VM");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS, { at: 0, to: 0x46 })), "icmp.quote", "options");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS, { at: 0, to: 0x65 })), "icmp.quote", "version 6");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS, { at: 7, to: 1 })), "icmp.quote", "a later fragment");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS, { at: 6, to: 0x60 })), "pass", "a first fragment, quoted");
    assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS, { at: 9, to: TCP })), known, "another protocol");
    assert.equal(talk.in("9.9.9.9", ICMP, right, { flags: 1 }), "icmp.quote", "a fragment");
    assert.equal(talk.in("9.9.9.9", ICMP, right, { destination: 0xe00000fb }), "icmp.quote", "to a group");
    assert.equal(talk.in("9.9.9.9", ICMP, icmp(5, 0)), "pass", "no error of these");

    assert.equal(talk.out(A, ICMP, quoting(A, VM, BACK)), "pass", "from the VM, about what came from there");
    assert.equal(talk.out(B, ICMP, quoting(A, VM, BACK)), "icmp.quote", "to somebody else");
    assert.equal(talk.out(A, ICMP, quoting(A, "192.168.64.6", BACK)), "icmp.quote", "what went to somebody else");
    assert.equal(talk.out(A, ICMP, quoting(A, VM, BACK), { flags: 1 }), "icmp.quote", "a fragment");
  }
  stateful.time += 31 * SECOND;
  const late = quoting(VM, A, PORTS);
  assert.equal(stateful.in("9.9.9.9", ICMP, late), "flow.icmp", "the flow is over, and the error kept nothing alive");
});

test("I14 no ICMP error reaches a VM without an address", () => {
  const talk = new Talk({}, {});
  assert.equal(talk.in(A, ICMP, quoting(VM, A, PORTS)), "icmp.quote");
});

test("I17 a group frame carries nothing for one host", () => {
  const talk = new Talk({}, { address: VM, gateway: GATEWAY, subnet: "192.168.64.0/24" });
  const group = { ethernetDestination: ALL };
  assert.equal(talk.out(A, UDP, udp([1, 1]), group), "ipv4.group-frame");
  assert.equal(talk.out("192.168.64.255", UDP, udp([1, 1]), group), "policy.broadcast");
  assert.equal(talk.out("224.0.0.251", UDP, udp([1, 1]), group), "policy.multicast");
  assert.equal(talk.out("127.0.0.1", UDP, udp([1, 1]), group), "ipv4.loopback", "asked before");
  const to = (destination: number) => talk.in(A, UDP, udp([1, 1]), { ...group, destination });
  assert.equal(to(0xc0a84005), "ipv4.group-frame", "to the VM");
  assert.equal(to(0xc0a84006), "ipv4.group-frame", "to a neighbour");
  assert.equal(to(0xc0a840ff), "pass", "the directed broadcast address");
  assert.equal(to(0xffffffff), "pass");
  assert.equal(to(0xe00000fb), "pass");
});

test("I17 where no subnet is known, a group frame to the VM drops only with its own address, one from it with any", () => {
  for (const known of [{}, { subnet: "192.168.64.4/31" }]) {
    const talk = new Talk({ allow: ["0.0.0.0/0"] }, { address: VM, gateway: GATEWAY, ...known });
    const group = { ethernetDestination: ALL };
    assert.equal(talk.in(A, UDP, udp([1, 1]), group), "ipv4.group-frame");
    assert.equal(talk.in(A, UDP, udp([1, 1]), { ...group, destination: 0xc0a840ff }), "pass");
    assert.equal(talk.out("192.168.64.255", UDP, udp([1, 1]), group), "ipv4.group-frame");
    assert.equal(talk.out("255.255.255.255", UDP, udp([1, 1]), group), "pass");
    assert.equal(talk.out(A, TCP, tcp([1, 1], ACK)), "pass");
  }
});
