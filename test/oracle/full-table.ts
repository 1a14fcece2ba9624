/**
 * Sessions that fill the table of flows to its last place: cheap frames from one template, then what full, expiring,
 * judged again and filled again mean, under a stateful or a stateless policy.
 */
import { addressText, be16, be32, ipv4Frame, join } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import type { Session } from "./generate.ts";
import { Random } from "./random.ts";
import type { Step } from "./world.ts";

const VM_MAC = "7e:1a:00:00:00:01";
const PEER_MAC = "02:00:00:00:00:01";
const SECOND = 1_000_000;
const MOST = 32_768;
const MOST_TO_VM = 16_384;

const TCP = 6;
const UDP = 17;
const ICMP = 1;

export function generateFullTable(seed: number): Session<Step> {
  const random = new Random(seed);
  const address = addressNumber("192.168.64.5");
  const remotes = [addressNumber("1.1.1.1"), addressNumber("8.8.8.8")];
  const stateful = { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], block: [] };
  const stateless = { allow: ["0.0.0.0/0"], block: [] };
  const steps: Step[] = [];
  let now = random.below(2_000_000_000);

  const setPolicy = (policy: { allow: readonly string[]; block: readonly string[] }) =>
    steps.push({ kind: "policy", ...policy });
  const emit = (fromVm: boolean, frame: Uint8Array, label: string) =>
    steps.push({ kind: "frame", direction: fromVm ? "egress" : "ingress", frame, time: now, label });

  const templates = new Map<string, Uint8Array>();
  /** A packet of the flow with this number: its ports, or its identifier. */
  const packet = (number: number, protocol: number, fromVm: boolean, flags = 16) => {
    const remote = remotes[number % 2]!;
    const key = `${remote} ${protocol} ${fromVm} ${flags}`;
    let template = templates.get(key);
    if (template === undefined) {
      const payload = protocol === TCP ? join(new Uint8Array(12), [0x50, flags], new Uint8Array(6)) : new Uint8Array(8);
      if (protocol === ICMP) payload[0] = 8;
      template = ipv4Frame({
        ethernetDestination: fromVm ? PEER_MAC : VM_MAC,
        ethernetSource: fromVm ? VM_MAC : PEER_MAC,
        version: 4,
        options: new Uint8Array(0),
        totalLengthError: 0,
        identification: 1,
        flags: 0,
        offset: 0,
        ttl: 64,
        protocol,
        badChecksum: false,
        source: fromVm ? address : remote,
        destination: fromVm ? remote : address,
        payload,
        padding: 0,
      });
      templates.set(key, template);
    }
    const frame = template.slice();
    const ports = [443, 1024 + Math.floor(number / 2)];
    if (protocol === ICMP) frame.set(be16(ports[1]!), 34 + 4);
    else frame.set([...be16(ports[fromVm ? 1 : 0]!), ...be16(ports[fromVm ? 0 : 1]!)], 34);
    if (protocol === TCP) frame.set(be32(number), 34 + 8);
    emit(fromVm, frame, `protocol ${protocol}, number ${number}`);
  };

  // Half of the table in one second, half in the next; half of each by the other side.
  const protocol = seed % 4 < 2 ? TCP : UDP;
  const begin = seed % 3 === 2 ? stateless : stateful;
  const opened = (number: number) => number % 4 < 2;
  // What begins in mid-stream is half-open until the VM answers: in some sessions it leaves a few without.
  const silent = (number: number) => seed % 8 === 1 && number % 256 === 7;
  const begins = (number: number, fromVm: boolean) => {
    packet(number, protocol, fromVm);
    if (protocol === TCP && !fromVm && !silent(number)) packet(number, protocol, true);
  };
  const second = Math.floor(now / SECOND) + 1;
  now = second * SECOND;
  // In others the far sides begin first, and more than they may: what is left is for the VM alone.
  const greedy = seed % 2 === 0;
  if (greedy) {
    for (let number = 0; number < MOST; number++) if (!opened(number) && number < MOST / 2) begins(number, false);
    for (let number = MOST / 2; number < MOST; number++) if (!opened(number)) begins(number, false);
    packet(MOST + 50, protocol, false);
    packet(MOST + 51, UDP, false);
    packet(MOST + 52, ICMP, false);
    packet(MOST + 53, TCP, false, 2);
    packet(3, protocol, false);
    packet(MOST + 54, protocol, true);
    packet(MOST + 54, protocol, false);
    packet(MOST_TO_VM - 1, protocol, false);
  }
  for (let number = 0; number < MOST; number++) {
    if (number === MOST / 2) now += SECOND;
    begins(number, opened(number));
  }
  // Full.
  const around = () => {
    packet(MOST, protocol, true);
    packet(MOST + 1, protocol, false);
    packet(MOST + 2, TCP, true, 2);
    packet(MOST + 3, TCP, false, 2);
    packet(MOST + 4, ICMP, true);
    packet(MOST + 5, ICMP, false);
    for (const known of [0, MOST / 2 - 1, MOST / 2, MOST - 1, random.below(MOST)]) {
      packet(known, protocol, random.chance(0.5));
      if (protocol === TCP) packet(known, TCP, random.chance(0.5), 2);
    }
  };
  around();
  if (begin === stateless) setPolicy(stateful);
  around();

  // The first half's last second and the one after, then the second half's: UDP's are over, TCP's give way.
  const lifetime = protocol === TCP ? 300 : 30;
  for (let turn = 0; turn < 2; turn++) {
    now = Math.max(now, (second + turn + lifetime + 1) * SECOND - 1);
    around();
    now += 1;
    around();
    if (turn === 1) break;
    // The first half's places, and no more.
    for (let number = 0; number < MOST / 2 + 3; number++) begins(MOST + 100 + number, Math.floor(number / 2) % 2 === 0);
  }

  // Again to the brim; then a policy takes a part away, of one way or of one remote side.
  for (let number = 0; number < MOST; number++) begins(number, opened(number));
  around();
  const cuts = [
    { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], block: [`${addressText(remotes[0]!)}/32`] },
    { allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] },
    { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0:1024-9000"], block: ["in 8.8.8.8/32"] },
    { allow: ["0.0.0.0/0"], block: ["1.1.1.1/32"] },
  ];
  setPolicy(cuts[seed % cuts.length]!);
  around();
  setPolicy(random.pick([stateful, stateful, stateless]));
  for (let number = 0; number < MOST; number += 3) packet(number, protocol, !opened(number));
  around();

  // All are over at once, and every place serves again.
  setPolicy(stateful);
  now = (Math.floor(now / SECOND) + 7441) * SECOND;
  for (let number = 0; number < MOST; number++) begins(number, opened(number));
  around();

  // Parts of the table are silent for longer than others: TCP's give way part by part.
  for (let part = 0; part < 4; part++) {
    now += SECOND;
    for (let number = part; number < MOST; number += 7) packet(number, protocol, opened(number));
  }
  now += 296 * SECOND;
  for (let turn = 0; turn < 8; turn++) {
    now += random.pick([SECOND, SECOND, SECOND - 1, 1]);
    packet(MOST + 60 + turn, protocol, false);
    around();
  }

  // Parts of the table end: by FIN, by a RST of the VM's, by one from outside that may be taken back. Ended ones make room first.
  const end = (number: number) => {
    const how = (number + seed) % 4;
    if (how === 0) packet(number, TCP, true, 17);
    if (how < 2) packet(number, TCP, false, 17);
    if (how === 1) packet(number, TCP, true, 17);
    if (how > 1) packet(number, TCP, how === 2, 4);
    if (how === 3 && number % 5 === 0) packet(number, TCP, true);
  };
  for (let number = 0; number < MOST; number++) {
    packet(number, TCP, opened(number));
    packet(number, TCP, !opened(number));
  }
  for (let part = 0; part < 3; part++) {
    now += SECOND;
    for (let number = part; number < MOST; number += 11) end(number);
  }
  for (let turn = 0; turn < 12; turn++) {
    now += random.pick([SECOND, SECOND, SECOND - 1, 1]);
    for (let more = 0; more < 1200; more++) {
      packet(2 * MOST + turn * 2000 + more, TCP, random.chance(0.5));
      if (random.chance(0.05)) end(random.below(MOST));
    }
    // An ended one is opened anew, or rests anew.
    for (let more = 0; more < 20; more++)
      packet(random.below(MOST), TCP, random.chance(0.5), random.pick([2, 16, 17, 4]));
    around();
  }
  const options = {
    macAddress: VM_MAC,
    address: "192.168.64.5",
    mtu: 1500,
    live: true,
    reject: seed % 2 === 0,
    ...begin,
  };
  return { seed, options, steps };
}
