/**
 * The world of a generated IPv6 session: the IPv4 world with a router, prefixes, servers and neighbours beside it, a clock
 * that likes the bounds of docs/guard-ipv6.md, and changes to single fields. It knows nothing of either guard.
 */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { addressText, be16 } from "../build.ts";
import { World } from "../world.ts";
import { type Fields6, frame6, icmp6, repair6, udp6 } from "./build.ts";
import { address6, addressText6, isMulticast, multicastMac } from "./bytes.ts";

const SECOND = 1_000_000;
const a = address6;

export interface Peer {
  readonly address: bigint;
  readonly mac: string;
}

/** Edges and kinds of addresses. */
export const NOTABLE6 = [
  ...["::", "::1", "::ffff:1.1.1.1", "::1.1.1.1", "::2", "64:ff9b::1.1.1.1", "64:ff9b::10.1.1.1", "64:ff9b:1::1"],
  ...["100::1", "100:0:0:1::1", "1fff:ffff::1", "2000::1", "2001::4136:e378:8000:63bf:3fff:fdd2", "2001:1::1"],
  ...["2001:1::4", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:200::1"],
  ...["2001:db8::1", "2002:0101:0101::1", "2002:0a01:0101::1", "2606:4700::1111", "2620:4f:8000::1", "3ffe::1"],
  ...["3fff::1", "3fff:1000::1", "4000::1", "5f00::1", "fbff::1", "fc00::1", "fd00::1", "fe00::1", "fe7f::1"],
  ...[
    "fe80::9",
    "fe80:1::9",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff02::fb",
    "ff05::2",
    "fd00:ec2::254",
    "fe80::a9fe:a9fe",
  ],
  ...["fd20:ce::254", "fd00:42::42", "64:ff9b::169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b::0.1.2.3"],
].map(a);

/** By their code (RFC 8781 4). */
const NAT64_LENGTHS = [96, 64, 56, 48, 40, 32];

const PREFIXES = ["2600:1:2:3::", "fd00:77:1:2::", "2001:db8:1:2::", "2a00:1::", "fd00:77:1:3::"].map(a);

export class World6 extends World {
  readonly linkLocal: bigint;
  readonly router: Peer;
  /** Who else speaks as a router; one of them has the IPv4 gateway's MAC. */
  readonly impostors: readonly Peer[];
  readonly prefixes: readonly bigint[];
  readonly dns6: readonly bigint[];
  readonly remotes6: readonly bigint[];
  readonly nat64: bigint;
  /** The prefix length code that it is mostly advertised with. */
  readonly nat64Code: number;
  /** What the VM believes to have: its link-local address in front. */
  own: bigint[];
  /** What the VM has from its server, and from whom. */
  leased: { address: bigint; iaid: number; server: number } | undefined;
  readonly duid: Uint8Array;
  readonly options6: GuardOptions;
  override readonly mess: number;
  /** Nobody takes what softnet asks for a while. */
  leavesQuestions = false;
  #marks: number[] = [];

  constructor(seed: number) {
    super(seed, "flows");
    const { random } = this;
    this.mess = random.pick([0, 0.02, 0.06, 0.15]);
    this.linkLocal = a("fe80::7e1a:ff:fe00:1") + BigInt(random.below(4));
    this.own = [this.linkLocal];
    const routerMac = random.chance(0.5) ? this.gatewayMac : this.peerMacs[0]!;
    this.router = { address: random.chance(0.5) ? a("fe80::1") : a("fe80::5054:ff:fe12:3456"), mac: routerMac };
    this.impostors = [
      { address: a("fe80::bad"), mac: this.peerMacs[1]! },
      { address: this.router.address, mac: this.peerMacs[2]! },
      { address: a("fe80::2"), mac: this.gatewayMac },
      { address: a("fe80::bad"), mac: routerMac },
      { address: this.linkLocal, mac: this.peerMacs[2]! },
    ];
    this.prefixes = [random.pick(PREFIXES), random.pick(PREFIXES), ...(random.chance(0.05) ? [a("::")] : [])];
    const second = random.chance(0.9) ? this.prefixes[0]! + 0x53n : a("ff02::fb");
    this.dns6 = [a("2606:4700::1111"), second, this.router.address, a("fd00:77::53")];
    this.nat64 = random.pick(["64:ff9b::", "2600:64::", "fd00:64::", "2001:db8:64::", "2001::", "64:ff9b:1::"].map(a));
    this.nat64Code = this.nat64 === a("2001::") ? 5 : random.below(6);
    this.duid = random.bytes(random.between(4, 14));
    this.remotes6 = this.#makeRemotes();
    this.options6 = this.#makeOptions();
    const { allow, block } = this.options6;
    this.policy = { allow: allow ?? [], block: block ?? [] };
  }

  #makeRemotes(): bigint[] {
    const { random } = this;
    const far = ["2606:4700::1111", "2606:4700::1111", "2606:4700::1112", "2a00:1450::200e"].map(a);
    const near = [this.router.address, ...this.dns6.slice(0, 2), this.prefixes[0]! + 9n, a("fd00:9::1"), a("fe80::77")];
    const embedding = Array.from({ length: 3 }, () => this.embedding(random.pick(this.remotes)));
    const others = ["ff02::fb", "fd00:ec2::254", "fe80::a9fe:a9fe", "64:ff9b::169.254.169.254"].map(a);
    return [...far, ...near, ...embedding, random.pick(others), random.pick(NOTABLE6), random.pick(NOTABLE6)];
  }

  /** An address that embeds an IPv4 one, in any of the ways. */
  embedding(four: number): bigint {
    const v4 = BigInt(four);
    const at = (length: number) => {
      if (length === 96) return v4;
      const shift = BigInt(128 - length - 32);
      if (length === 32) return v4 << shift;
      // Byte 8 stays zero (RFC 6052 2.2).
      const bits = v4 << (shift - 8n);
      const below = bits % 2n ** 56n;
      const above = ((v4 << shift) >> 64n) << 64n;
      return above + below;
    };
    return this.random.pick([
      a("64:ff9b::") + v4,
      a("64:ff9b::") + v4,
      a("2002::") + (v4 << 80n) + 1n,
      a("2001::") + (v4 ^ 0xffffffffn),
      v4,
      this.nat64 + at(this.random.chance(0.7) ? NAT64_LENGTHS[this.nat64Code]! : this.random.pick(NAT64_LENGTHS)),
    ]);
  }

  #makeOptions(): GuardOptions {
    const { random } = this;
    const { macAddress, mtu, gateway, gatewayMacAddress, exposedPorts, address, subnet } = this.options;
    const isStatic = random.chance(0.1);
    const networks = random.chance(0.12);
    const given = networks || random.chance(0.2);
    return {
      macAddress,
      ipv6: true,
      ...(random.chance(0.55) && this.rules6()),
      live: random.chance(0.6),
      reject: random.chance(0.6),
      ask: random.chance(0.7),
      ...(mtu !== undefined && mtu >= 1280 && { mtu }),
      ...(gateway && { gateway }),
      ...((gatewayMacAddress || random.chance(0.25)) && { gatewayMacAddress: this.gatewayMac }),
      ...(exposedPorts && { exposedPorts }),
      ...(address && { address }),
      ...(subnet && { subnet }),
      ...(given && { router6: addressText6(this.router.address) }),
      ...((networks || (given && random.chance(0.4))) && { router6MacAddress: this.router.mac.toUpperCase() }),
      ...(networks && { prefix6: `${addressText6(this.prefixes[0]!)}/64` }),
      ...((networks || random.chance(0.05)) && { hostAddresses6: [addressText6(this.prefixes[0]! + 1n)] }),
      ...(isStatic && { address6: addressText6(this.prefixes[0]! + 0x77n) }),
      ...(random.chance(0.15) && { heldElsewhere6: this.#registry() }),
      ...(random.chance(0.15) && { restored: { addresses: this.#restored(), ...(given && { time: this.now }) } }),
    };
  }

  #registry(): (address: bigint) => boolean {
    const broken = this.random.chance(0.3);
    return (address) => {
      if (broken && address % 16n === 5n) throw new Error("the registry cannot be read");
      return address % 16n === 3n;
    };
  }

  #restored(): NonNullable<GuardOptions["restored"]>["addresses"] {
    const { random } = this;
    const never = Number.POSITIVE_INFINITY;
    const server = random.chance(0.9) ? new Uint8Array([0, 1, 9]) : new Uint8Array(random.pick([0, 131]));
    const lease = { server, client: this.duid, iaid: 1 };
    const slaac = (address: bigint) => ({ family: "ipv6", origin: "slaac", expiry: never, address }) as const;
    const count = random.chance(0.1) ? 20 : 2;
    const all = Array.from({ length: count }, (_, index) => slaac(this.prefixes[0]! + BigInt(0x9000 + index)));
    const odd = [slaac(random.pick(NOTABLE6)), slaac(this.router.address), slaac(this.prefixes[0]!)];
    const expiry = random.pick([0, this.now + 100 * SECOND, never]);
    const leased = { family: "ipv6", origin: "dhcpv6", expiry, address: this.prefixes[0]! + 0xd0n, lease } as const;
    this.own.push(...all.slice(0, 2).map(({ address }) => address));
    return [slaac(this.linkLocal), ...all, ...(random.chance(0.5) ? odd : []), leased];
  }

  // Policies

  #target(): string {
    const { random } = this;
    if (random.chance(0.25)) return random.pick(["@host", "@dns", "@metadata", "@private", "@global"]);
    if (random.chance(0.25)) {
      const bits = random.pick([0, 0, 8, 16, 24, 32, 32]);
      return `${addressText(random.pick([...this.remotes, 0x0a010101, 0xa9fea9fe]))}/${bits}`;
    }
    const bits = random.pick([0, 0, 3, 7, 16, 32, 64, 96, 128, 128, random.between(0, 128)]);
    const text = `${addressText6(random.chance(0.85) ? random.pick(this.remotes6) : random.pick(NOTABLE6))}/${bits}`;
    return random.chance(0.5) ? `[${text}]` : text;
  }

  rule6(ways: number, ports: number): string {
    const { random } = this;
    const way = random.chance(ways) ? random.pick(["in ", "out "]) : "";
    const target = this.#target();
    if (!random.chance(ports)) return way + target;
    const place = target.includes(":") && !target.startsWith("[") ? `[${target}]` : target;
    return `${way}${place}:${random.pick(["53", "80", "443", "22", "1-1023", "1000-1002", "1-65535"])}`;
  }

  rules6(): { allow: string[]; block: string[] } {
    const { random } = this;
    if (random.chance(0.3)) return this.openRules6();
    const [ways, ports] = random.pick([
      [0, 0],
      [0, 0.5],
      [0.7, 0.3],
      [0.8, 0.7],
      [1, 0],
    ] as const);
    const some = () => Array.from({ length: random.below(5) }, () => this.rule6(ways, ports));
    const [allow, block] = [some(), some()];
    const way = () => (random.chance(ways) ? random.pick(["in ", "out ", ""]) : "");
    if (random.chance(0.35)) allow.push(`${way()}${random.pick(["::/0", "::/0", "[::/0]:80", "0.0.0.0/0"])}`);
    if (random.chance(0.25)) block.push(`${way()}${random.pick(["::/0", "0.0.0.0/0", "0.0.0.0/0"])}`);
    if (random.chance(0.2)) block.push(random.pick(["@host", "@private", "@metadata", "in @private"]));
    if (allow.length > 0 && random.chance(0.3)) allow.push("0.0.0.0/0");
    return { allow, block };
  }

  /** Rules that let nearly everything pass, mostly with directions. */
  openRules6(): { allow: string[]; block: string[] } {
    const { random } = this;
    const allow = random.pick([["out ::/0"], ["out ::/0", "in ::/0"], ["::/0"], ["out [::/0]:1-65535", "in @global"]]);
    if (random.chance(0.7)) allow.push(random.pick(["0.0.0.0/0", "out 0.0.0.0/0", "@private"]));
    return { allow, block: random.chance(0.4) ? [this.rule6(0.8, 0.5)] : [] };
  }

  // Frames

  /** A packet with the usual fields from the VM or to it. */
  packet(fromVm: boolean, fields: Partial<Fields6> & Pick<Fields6, "source" | "destination">, label: string): void {
    const group = isMulticast(fields.destination);
    const mac = group ? multicastMac(fields.destination) : this.router.mac;
    const frame = frame6({
      ethernetDestination: fromVm || group ? mac : this.vmMac,
      ethernetSource: fromVm ? this.vmMac : this.router.mac,
      version: 6,
      lengthError: 0,
      hopLimit: 64,
      headers: [],
      protocol: 59,
      payload: [],
      padding: this.random.chance(0.1) ? this.random.below(20) : 0,
      ...fields,
    });
    this.emit(fromVm ? "egress" : "ingress", frame, label);
    const last = this.steps.at(-1);
    if (this.leavesQuestions && last?.kind === "frame") this.steps.splice(-1, 1, { ...last, unasked: true });
  }

  icmp(
    fromVm: boolean,
    source: bigint,
    destination: bigint,
    type: number,
    body: Uint8Array,
    more: Partial<Fields6> & { code?: number } = {},
  ): void {
    const payload = icmp6(source, destination, type, body, more.code ?? 0);
    this.packet(fromVm, { source, destination, protocol: 58, payload, ...more }, `ICMPv6 ${type}`);
  }

  udp(
    fromVm: boolean,
    source: bigint,
    destination: bigint,
    ports: readonly [number, number],
    data: Uint8Array,
    more = {},
  ) {
    const payload = udp6(source, destination, ports, data);
    this.packet(fromVm, { source, destination, protocol: 17, payload, ...more }, `UDP ${ports}`);
  }

  /** One of the VM's addresses, now and then one that is not. */
  ownAddress(): bigint {
    const { random } = this;
    if (random.chance(0.04)) return random.pick([...this.impostors.map(({ address }) => address), ...NOTABLE6]);
    return random.pick(this.own);
  }

  /** A new address in a prefix. */
  newAddress(): bigint {
    const { random } = this;
    const prefix = random.chance(0.9) ? random.pick(this.prefixes) : a("fe80::");
    return prefix + BigInt(0x1000 + random.below(random.chance(0.8) ? 12 : 4000));
  }

  learnOwn(address: bigint): void {
    const others = this.own.slice(1).filter((one) => one !== address);
    this.own = [this.own[0]!, ...[...others, address].slice(-7)];
  }

  // Time

  override mark(): void {
    super.mark();
    this.#marks.push(this.now);
    if (this.#marks.length > 12) this.#marks.shift();
  }

  /** To a bound that began with a step of late, or one microsecond beside it. */
  toBound(...windows: readonly number[]): void {
    const { random } = this;
    const short = [0.5, 0.5, 1, 3, 3, 4, 8];
    const usual = this.random.chance(0.75) ? short : [60, 60, 64, 300, 301, 302, 303, 600, 30, 120];
    const window = random.pick(windows.length > 0 ? windows : usual);
    const marks = this.#marks.length > 0 ? this.#marks : [this.now];
    const mark = random.chance(0.5) ? marks.at(-1)! : random.pick(marks);
    const target = mark + window * SECOND + random.pick([-1, 0, 0, 1]);
    if (target >= this.now && target < 2 ** 50) this.now = target;
    else this.now += random.below(2 * SECOND);
  }

  // Damage

  /** One field, or one byte, is another; checksums are mostly right again. */
  override damage(original: Uint8Array): Uint8Array {
    const { random } = this;
    if (original.length < 62 || original[12] !== 0x86) return super.damage(original);
    let frame: Uint8Array = original.slice();
    const end = Math.min(frame.length, 54 + 64);
    switch (random.below(8)) {
      case 0:
        frame[20] = random.pick([0, 43, 44, 60, 59, 51, 6, 17, 58, 50, 1, 2, 135, 253]);
        break;
      case 1:
        frame[21] = random.pick([0, 1, 64, 254, 255]);
        break;
      case 2: {
        const length = frame[18]! * 256 + frame[19]! + random.pick([-8, -1, 1, 8, -16]);
        frame.set(be16(Math.max(0, length)), 18);
        break;
      }
      case 3:
        frame[random.pick([6, 11, 0, 5, 22, 23, 37, 38, 39, 53])]! ^= random.pick([1, 2, 0x80]);
        break;
      case 4:
        frame[54] = random.pick([1, 2, 128, 129, 130, 133, 134, 135, 136, 137, 143, 138, 151]);
        break;
      case 5:
      case 6: {
        const at = random.between(54, end - 1);
        frame[at] = random.pick([0, 1, 2, 3, 4, 8, 0x40, 0x80, 0xff, frame[at]! ^ (1 << random.below(8))]);
        break;
      }
      default:
        frame = random.chance(0.5) ? frame.slice(0, random.between(14, frame.length)) : super.damage(frame);
    }
    if (random.chance(0.75)) repair6(frame);
    return frame;
  }
}
