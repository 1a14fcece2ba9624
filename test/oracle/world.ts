/**
 * The world in which a generated session plays: a VM, its network, servers and neighbours, the guard's options, a clock
 * that likes the edges of windows, and mutations. It knows nothing of either guard.
 */
import type { GuardOptions } from "../../src/guard/types.ts";
import { addressText, BROADCAST, be16, repairChecksums } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import { type Policy, somePolicy } from "./policies.ts";
import { Random } from "./random.ts";

export interface FrameStep {
  readonly kind: "frame";
  readonly direction: "egress" | "ingress";
  readonly frame: Uint8Array;
  /** The virtio-net header in front of it; none where it comes from a socket. */
  readonly header?: Uint8Array;
  /** Microseconds; may lie before the step's predecessor. */
  readonly time: number;
  readonly label: string;
  /** The conversation that it belongs to, where the share of such conversations matters. */
  readonly topic?: string;
  /** Nobody takes resets behind this step. */
  readonly untaken?: boolean;
  /** Nobody takes softnet's own questions behind this step. */
  readonly unasked?: boolean;
}

/** Another policy takes the place of the one before. */
export interface PolicyStep extends Policy {
  readonly kind: "policy";
  /** Nobody takes resets behind this step. */
  readonly untaken?: boolean;
}

/** What would be said about the first packet of a flow. */
export interface QuestionStep {
  readonly kind: "question";
  readonly way: "in" | "out";
  readonly protocol: number;
  readonly remote: number;
  readonly port: number | undefined;
}

export type Step = FrameStep | PolicyStep | QuestionStep;

/** Two ends that talk; for echo one of the ports serves as the identifier. */
export interface Connection {
  readonly protocol: number;
  readonly remote: number;
  readonly remotePort: number;
  readonly vmPort: number;
  readonly fromVm: boolean;
}

export interface Server {
  /** Option 54. */
  readonly id: number;
  /** IPv4 source of what it sends: its own address or a relay's. */
  readonly source: number;
  readonly mac: string;
}

/** Edges of special ranges, metadata, multicast and ordinary global addresses. */
const NOTABLE = [
  ...["0.0.0.0", "0.0.0.1", "0.255.255.255", "1.0.0.0", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
  ...["100.63.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255", "100.128.0.0"],
  ...["126.255.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255", "128.0.0.0"],
  ...["169.253.255.255", "169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255", "169.255.0.0"],
  ...["172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", "168.63.129.16", "168.63.129.17"],
  ...["191.255.255.255", "192.0.0.0", "192.0.0.7", "192.0.0.8", "192.0.0.9", "192.0.0.10", "192.0.0.11"],
  ...["192.0.0.170", "192.0.0.171", "192.0.0.192", "192.0.0.255", "192.0.1.0", "192.0.1.255", "192.0.2.0"],
  ...["192.0.2.255", "192.0.3.0", "192.31.195.255", "192.31.196.0", "192.31.196.255", "192.52.193.7"],
  ...["192.88.98.255", "192.88.99.0", "192.88.99.1", "192.88.99.2", "192.88.99.255", "192.88.100.0"],
  ...["192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0", "192.175.48.1", "192.175.49.0"],
  ...["198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", "198.51.99.255", "198.51.100.0"],
  ...["198.51.100.255", "198.51.101.0", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"],
  ...["223.255.255.255", "224.0.0.0", "224.0.0.1", "224.0.0.251", "239.255.255.250", "239.255.255.255"],
  ...["240.0.0.0", "255.255.255.254", "255.255.255.255", "1.1.1.1", "8.8.8.8", "93.184.216.34", "140.82.121.4"],
].map(addressNumber);

export const METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"].map(
  addressNumber,
);

/** Ends of the ranges in which no host lives, and hosts far away. */
const IMPOSTORS = [
  ...["0.0.0.1", "0.255.255.255", "1.0.0.0", "126.255.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255"],
  ...["128.0.0.0", "223.255.255.255", "224.0.0.0", "224.0.0.251", "239.255.255.255", "240.0.0.0", "255.255.255.255"],
  ...["10.9.9.9", "192.168.65.1", "8.8.8.8", "172.16.5.16", "169.254.169.253"],
].map(addressNumber);

const SUBNETS: readonly [string, number][] = [
  ["192.168.64.0", 24],
  ["192.168.64.0", 24],
  ["10.0.0.0", 8],
  ["172.16.5.0", 28],
  ["10.77.3.4", 30],
  ["10.77.3.4", 31],
  ["100.64.8.0", 22],
  ["8.8.4.0", 24],
  ["169.254.100.0", 24],
  ["192.0.2.128", 25],
  ["169.254.169.0", 24],
  ["100.100.100.0", 24],
];

const SECOND = 1_000_000;

/** The same bytes as a view into a larger buffer, as a batch of frames has them, with rubbish on both sides. */
function inLargerBuffer(frame: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(frame.length + 33).fill(0x45);
  buffer.set(frame, 13);
  return buffer.subarray(13, 13 + frame.length);
}

export class World {
  readonly random: Random;
  readonly steps: Step[] = [];
  readonly options: GuardOptions;
  /** Routers, DNS servers, servers and ends of subnets that were told to the VM of late. */
  readonly told: number[] = [];

  readonly vmMac: string;
  readonly peerMacs: readonly string[];
  readonly subnet: { readonly address: number; readonly length: number };
  readonly gateway: number;
  readonly gatewayMac: string;
  readonly servers: readonly Server[];
  readonly dnsServers: readonly number[];
  readonly leases: readonly number[];
  /** How often a frame is damaged. */
  readonly mess: number;
  readonly static: boolean;

  now: number;
  /** When the VM's lease ends, as far as the world knows. */
  leaseEnd = Number.POSITIVE_INFINITY;
  lastLease = 600;
  /** Nobody takes resets, or questions, for a while. */
  holdsResets = false;
  holdsQuestions = false;
  /** What is said at the moment is part of this conversation. */
  topic: string | undefined;
  #marks: number[] = [];
  #windows: number[] = [SECOND, 3 * SECOND, 60 * SECOND, 600 * SECOND];

  /** What the VM believes. */
  address: number | undefined;
  server: Server;
  xid: number;
  identifier: Uint8Array;
  lastAddress: number;

  /** The few addresses that the session talks to, and the connections with them. */
  readonly remotes: readonly number[];
  readonly connections: Connection[] = [];
  policy: Policy;

  /** A world of flows has policies with directions and ports, guards that answer, and seldom damaged frames. */
  constructor(seed: number, play: "frames" | "flows" = "frames") {
    const random = new Random(seed);
    this.random = random;
    const mac = (first: number) =>
      [first, ...random.bytes(5)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    this.vmMac = mac(0x7e);
    this.gatewayMac = mac(0x02);
    this.peerMacs = [mac(0x52), mac(0x7e), mac(0x00)];
    const roomy = SUBNETS.filter(([, bits]) => bits < 30);
    const [base, length] = random.pick(play === "flows" ? roomy : SUBNETS);
    this.subnet = { address: addressNumber(base), length };
    this.gateway = this.subnet.address + (length === 31 ? 0 : 1);
    const other = this.hostAddress();
    this.servers = [
      { id: this.gateway, source: this.gateway, mac: this.gatewayMac },
      { id: other, source: other, mac: this.peerMacs[0]! },
      { id: addressNumber("10.9.9.9"), source: this.gateway, mac: this.gatewayMac },
      { id: other, source: this.gateway, mac: this.gatewayMac },
      { id: addressNumber("10.9.9.9"), source: addressNumber("10.9.9.9"), mac: this.gatewayMac },
      { id: addressNumber("8.8.8.8"), source: addressNumber("8.8.8.8"), mac: this.gatewayMac },
      { id: this.gateway, source: this.gateway, mac: this.peerMacs[1]! },
      { id: this.gateway, source: other, mac: this.gatewayMac },
    ];
    this.server = random.chance(0.6) ? this.servers[0]! : random.pick(this.servers);
    this.dnsServers = Array.from({ length: random.below(random.chance(0.1) ? 11 : 4) }, () =>
      random.pick([this.gateway, this.hostAddress(), random.pick(NOTABLE), addressNumber("10.1.1.1")]),
    );
    this.leases = random.pick([[600], [1, 2, 5], [30, 60, 61], [3600, 86400], [0xffffffff], [0, 1, 600, 0xfffffffe]]);
    if (play === "flows") this.leases = random.pick([[3600, 86400], [0xffffffff], [600], [60, 400]]);
    this.mess = random.pick(play === "flows" ? [0, 0, 0.01, 0.04] : [0, 0.02, 0.05, 0.2]);
    this.xid = random.uint32();
    this.lastAddress = this.hostAddress();
    this.identifier = this.newIdentifier();
    this.now = random.pick([0, 1, 1_000_000, random.uint32() * 1000]);
    this.static = random.chance(play === "flows" ? 0.4 : 0.15);
    if (this.static) this.address = this.lastAddress;
    this.remotes = this.#makeRemotes();
    const flows = play === "flows";
    const usual = this.#makeOptions();
    this.options = {
      ...usual,
      ...((flows || random.chance(0.25)) && somePolicy(this)),
      ...(flows && { live: random.chance(0.75), reject: random.chance(0.7) }),
    };
    this.policy = { allow: this.options.allow ?? [], block: this.options.block ?? [] };
    for (const lease of this.leases) this.#windows.push(lease * SECOND);
  }

  #makeOptions(): GuardOptions {
    const random = this.random;
    const rules = (): string[] => {
      const count = random.chance(0.05) ? 30 : random.between(1, 6);
      return Array.from({ length: count }, () => this.rule());
    };
    const allow = random.chance(0.35) ? rules() : random.chance(0.1) ? [] : undefined;
    const block = random.chance(0.35) ? rules() : undefined;
    if (allow !== undefined && random.chance(0.2)) allow.push("0.0.0.0/0");
    if (block !== undefined && random.chance(0.1)) block.push("0.0.0.0/0");
    if (allow !== undefined && block !== undefined && allow.length > 0 && random.chance(0.3)) {
      block.push(random.pick(allow));
    }
    const exposedPorts = random.chance(0.3) ? [22, random.between(1, 65535), random.pick([80, 65535])] : undefined;
    if (exposedPorts !== undefined && block !== undefined && random.chance(0.7)) block.push("@host");
    const mtu = random.chance(0.15) ? random.pick([576, 600, 600, 9000, 9000, 65521, 1280, 68]) : undefined;
    const subnet = random.chance(0.7) ? this.subnet : this.otherSubnet();
    return {
      macAddress: random.chance(0.1) ? this.vmMac.toUpperCase() : this.vmMac,
      ...(allow && { allow }),
      ...(block && { block }),
      ...(exposedPorts && { exposedPorts }),
      ...(this.static && { address: addressText(this.address!) }),
      ...(random.chance(0.25) && { gateway: addressText(random.chance(0.9) ? this.gateway : this.hostAddress()) }),
      ...(random.chance(0.12) && {
        gatewayMacAddress: random.chance(0.8) ? this.gatewayMac.toUpperCase() : this.peerMacs[2]!,
      }),
      ...(random.chance(0.06) && {
        dhcpServerMacAddress: random.chance(0.8) ? this.server.mac.toUpperCase() : this.peerMacs[2]!,
      }),
      ...(random.chance(0.12) && { hostname: random.pick(["guest", "Guest", "web1.example.com", "a"]) }),
      ...(random.chance(this.static ? 0.5 : 0.25) && {
        dhcpServer: addressText(random.chance(0.95) ? this.server.id : this.gateway),
      }),
      ...(random.chance(this.static ? 0.5 : 0.25) && { subnet: `${addressText(subnet.address)}/${subnet.length}` }),
      ...(random.chance(0.5) && { ask: true }),
      ...(mtu !== undefined && { mtu }),
    };
  }

  #makeRemotes(): number[] {
    const { random, gateway } = this;
    const near = [this.hostAddress(), this.hostAddress(), this.lastAddress];
    const size = 2 ** (32 - this.subnet.length);
    const several = [this.subnet.address + size - 1, addressNumber("224.0.0.251"), BROADCAST];
    const far = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "1.1.1.1", "10.1.1.1"].map(addressNumber);
    const others = [...near, ...several, 0, random.pick(METADATA), random.pick(NOTABLE)];
    return [gateway, ...far, ...this.dnsServers.slice(0, 2), random.pick(others), random.pick(others)];
  }

  /** A rule that likes to overlap others: around addresses that the session will use. */
  rule(): string {
    const random = this.random;
    if (random.chance(0.12)) return "@host";
    const length = random.pick([0, 1, 4, 8, 8, 12, 15, 16, 16, 20, 24, 24, 28, 30, 31, 32, 32, random.between(0, 32)]);
    const address = random.chance(0.6) ? this.someAddress() : this.hostAddress();
    const size = 2 ** (32 - length);
    return `${addressText(Math.floor(address / size) * size)}/${length}`;
  }

  /** An address in the subnet, few enough of them that they meet again. */
  hostAddress(): number {
    const size = 2 ** (32 - this.subnet.length);
    return this.subnet.address + (size <= 4 ? this.random.below(size) : 2 + this.random.below(5));
  }

  /** A subnet around the VM's address that is larger or smaller than the one in which it lives. */
  otherSubnet(): { address: number; length: number } {
    const { random } = this;
    const length = random.pick([this.subnet.length - 1, this.subnet.length + 1, 16, 29, 30, 31, 32]);
    const bits = Math.min(Math.max(length, 1), 32);
    const size = 2 ** (32 - bits);
    return { address: Math.floor(this.lastAddress / size) * size, length: bits };
  }

  /** Remembers addresses that a server told, so that the VM talks to them. */
  tell(...addresses: number[]): void {
    this.told.push(...addresses);
    this.told.splice(0, Math.max(0, this.told.length - 8));
  }

  /** What no router, DNS server or DHCP server should be, and the neighbours of such addresses. */
  impostor(): number {
    const { random, subnet } = this;
    const size = 2 ** (32 - subnet.length);
    const near = [subnet.address - 1, subnet.address, subnet.address + size - 1, subnet.address + size];
    if (random.chance(0.3)) return (random.pick(near) + 2 ** 32) % 2 ** 32;
    return random.pick(random.chance(0.3) ? METADATA : IMPOSTORS);
  }

  someAddress(): number {
    const random = this.random;
    switch (random.below(13)) {
      case 12:
        return this.told.length > 0 ? random.pick(this.told) : this.gateway;
      case 0:
      case 1:
        return this.gateway;
      case 2:
        return this.hostAddress();
      case 3: {
        const size = 2 ** (32 - this.subnet.length);
        return random.pick([this.subnet.address, this.subnet.address + size - 1, this.subnet.address + size]) % 2 ** 32;
      }
      case 4:
        return this.dnsServers.length > 0 ? random.pick(this.dnsServers) : this.gateway;
      case 5:
        return this.address ?? this.lastAddress;
      case 6:
        return random.pick(this.servers).id;
      case 7: {
        const rules = [...(this.policy?.allow ?? []), ...(this.policy?.block ?? [])]
          .map((rule) => /[0-9.]+\/[0-9]+/.exec(rule)?.[0])
          .filter((rule) => rule !== undefined);
        if (rules.length === 0) return random.pick(NOTABLE);
        const [text, length] = random.pick(rules).split("/");
        const size = 2 ** (32 - Number(length));
        const address = addressNumber(text!) + random.pick([-1, 0, size - 1, size]);
        return Math.min(Math.max(address, 0), BROADCAST);
      }
      case 8:
        return random.uint32();
      default:
        return random.pick(NOTABLE);
    }
  }

  someMac(): string {
    const fixed = [this.vmMac, this.gatewayMac, ...this.peerMacs];
    const odd = [
      "ff:ff:ff:ff:ff:ff",
      "00:00:00:00:00:00",
      "01:00:5e:00:00:fb",
      "33:33:00:00:00:01",
      "01:80:c2:00:00:00",
    ];
    return this.random.pick(this.random.chance(0.7) ? fixed : [...odd, "01:80:c3:00:00:00", "01:80:c2:ff:ff:ff"]);
  }

  newIdentifier(): Uint8Array {
    const random = this.random;
    switch (random.below(4)) {
      case 0:
        return new Uint8Array(0);
      case 1:
        return new Uint8Array([1, ...this.vmMac.split(":").map((part) => Number.parseInt(part, 16))]);
      case 2:
        return new Uint8Array([255, 0, 0, 0, random.below(3), 0, 2, 0, 0]);
      default:
        return random.bytes(random.between(1, 20));
    }
  }

  /** Takes note that the VM's address is no longer its own, when its lease has run out. */
  expire(): void {
    if (this.now >= this.leaseEnd) this.lose();
  }

  lose(): void {
    if (!this.static) this.address = undefined;
    this.leaseEnd = Number.POSITIVE_INFINITY;
  }

  /** Seconds for option 51; the last one is remembered as the lease that was given. */
  lease(): number {
    this.lastLease = this.random.pick(this.leases);
    return this.lastLease;
  }

  /** Remembers this moment, so that a later step can land on the edge of a window that began here. */
  mark(): void {
    this.#marks.push(this.now);
    if (this.#marks.length > 6) this.#marks.shift();
  }

  /** A short pause, as between a question and its answer. */
  pause(): void {
    const random = this.random;
    this.now += random.pick([0, 1, random.below(1000), random.below(50_000), random.below(500_000)]);
  }

  /** A step in time of any size; often exactly to, or one microsecond off, the edge of a window. */
  jump(): void {
    const random = this.random;
    if (random.chance(0.5) && this.#marks.length > 0) {
      const target = random.pick(this.#marks) + random.pick(this.#windows) + random.pick([-1, 0, 0, 1]);
      if (target >= this.now && target < 2 ** 52) {
        this.now = target;
        return;
      }
    }
    const size = random.pick([1000, SECOND, SECOND, 3 * SECOND, 10 * SECOND, 60 * SECOND, 90 * SECOND, 700 * SECOND]);
    this.now += random.below(size);
  }

  /** A step in time to the edge of a flow's or a noted fragment's last second, which began with a step of late. */
  jumpSeconds(seconds?: number): void {
    const { random } = this;
    const lifetime = seconds ?? random.pick(random.chance(0.05) ? [7440] : [30, 30, 60, 60, 120, 240, 300, 1]);
    const from = this.#marks.length > 0 ? random.pick(this.#marks) : this.now;
    const second = Math.floor(from / SECOND) + lifetime + random.pick([0, 1]);
    const target = second * SECOND + random.pick([-1, 0, 0, 1, 500_000, SECOND - 1]);
    if (target >= this.now && target < 2 ** 52) this.now = target;
    else this.now += random.below(2 * SECOND);
  }

  /** Records another policy, in force from now on. */
  setPolicy(policy: Policy): void {
    this.policy = policy;
    this.steps.push({ kind: "policy", ...policy, ...this.#untaken });
  }

  get #untaken(): { readonly untaken?: true } {
    return this.holdsResets ? { untaken: true } : {};
  }

  get #circumstances(): Partial<FrameStep> {
    return {
      ...this.#untaken,
      ...(this.holdsQuestions && { unasked: true }),
      ...(this.topic !== undefined && { topic: this.topic }),
    };
  }

  ask(question: Omit<QuestionStep, "kind">): void {
    this.steps.push({ kind: "question", ...question });
  }

  /** Records a frame, damaged now and then, sometimes twice, sometimes lost, and lets a moment pass. */
  emit(direction: "egress" | "ingress", frame: Uint8Array, label: string): void {
    const random = this.random;
    if (random.chance(0.01)) return;
    const damaged = inLargerBuffer(random.chance(this.mess) ? this.damage(frame) : frame);
    const time = random.chance(0.004) ? Math.max(0, this.now - random.below(5 * SECOND)) : this.now;
    this.steps.push({ kind: "frame", direction, frame: damaged, time, label, ...this.#circumstances });
    this.mark();
    if (random.chance(0.02))
      this.steps.push({ kind: "frame", direction, frame: damaged, time: this.now, label: `${label} again` });
    if (random.chance(0.01)) {
      this.steps.push({
        kind: "frame",
        direction: direction === "egress" ? "ingress" : "egress",
        frame,
        time: this.now,
        label: "echoed",
      });
    }
    this.pause();
  }

  /** One change to a frame, with IPv4's and UDP's checksums repaired in half of the cases. */
  damage(original: Uint8Array): Uint8Array {
    const random = this.random;
    if (original.length < 2) return random.bytes(random.below(64));
    let frame = original.slice();
    const at = () => random.below(frame.length);
    switch (random.below(9)) {
      case 0:
      case 1: {
        const position = at();
        frame[position] = frame[position]! ^ (1 << random.below(8));
        break;
      }
      case 2:
        frame[at()] = random.pick([0, 1, 2, 4, 6, 127, 128, 254, 255, random.below(256)]);
        break;
      case 3: // headers rather than payload
        frame[random.below(Math.min(frame.length, 62))] = random.below(256);
        break;
      case 4:
        frame[random.below(Math.min(frame.length, 42))] = random.pick([0, 1, 255, 0x45, 0x46, 0x40, 0x20]);
        break;
      case 5:
        frame = frame.slice(0, random.below(frame.length + 1));
        break;
      case 6: {
        const longer = new Uint8Array(frame.length + random.between(1, 40));
        longer.set(frame);
        frame = longer;
        break;
      }
      case 7: // options of DHCP
        if (frame.length > 282) frame[random.between(282, frame.length - 1)] = random.below(256);
        break;
      default: {
        const position = at();
        frame.set(
          be16(random.pick([0, 1, 20, 28, 53, 67, 68, 300, 1500, 0x0800, 0xffff])),
          Math.min(position, frame.length - 2),
        );
      }
    }
    if (random.chance(0.5)) repairChecksums(frame);
    return frame;
  }
}
