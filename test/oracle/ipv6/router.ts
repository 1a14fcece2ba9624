/** Which router the second guard believes, and what its advertisements teach (RFC 4861, RFC 8106, RFC 8781). */
import { uint16, uint32 } from "../bytes.ts";
import { addressAt, isLinkLocal, isMulticast, masked } from "./bytes.ts";
import type { NdMessage } from "./nd.ts";
import type { State6 } from "./state.ts";

const SECOND = 1_000_000;
const LEAST_LIFE = 60;
const FOREVER = 0xffffffff;

/** Whether an advertisement of the right form comes from the router, or makes its sender the router. */
export function considerRouter(six: State6, source: bigint, mac: string): boolean {
  const { router } = six;
  const isGateway = mac === six.state.gatewayMac;
  if (router?.found === "given") {
    if (source !== router.address) return false;
    if (router.mac === undefined) {
      six.reach("the given router's MAC is learned");
      router.mac = mac;
    }
    return mac === router.mac;
  }
  if (router === undefined) {
    six.router = { address: source, mac, found: isGateway ? "gateway" : "first", end: undefined };
    six.reach(`a router is found, ${six.router.found}`);
    return true;
  }
  if (source === router.address && mac === router.mac) {
    if (isGateway) router.found = "gateway";
    return true;
  }
  if (!isGateway || router.found === "gateway") return false;
  six.reach("the gateway takes the place of a router found first");
  six.router = { address: source, mac, found: "gateway", end: undefined };
  if (!six.fault("what the former router taught stays")) six.forgetTaught();
  return true;
}

export function teach(six: State6, { body, options }: NdMessage): void {
  const lifetime = uint16(body, 6);
  const least = six.fault("a router that ends is forgotten at once") ? 0 : LEAST_LIFE;
  six.router!.end = six.now + Math.max(lifetime, least) * SECOND;
  if (lifetime === 0) six.reach("a router says that it ends");
  for (const { type, data } of options) {
    if (type === 3 && data.length === 32) teachPrefix(six, data);
    if (type === 25 && data.length >= 24 && (data.length / 8) % 2 === 1) teachDns(six, data);
    if (type === 38 && data.length === 16) teachNat64(six, data);
  }
}

const endOf = (six: State6, seconds: number): number =>
  seconds === FOREVER ? Number.POSITIVE_INFINITY : six.now + seconds * SECOND;

function teachPrefix(six: State6, data: Uint8Array): void {
  const [length, flags] = [data[2]!, data[3]!];
  if (length > 128) return;
  const { prefix } = masked(addressAt(data, 16), length);
  const onLink = flags >= 0x80;
  const autonomous = Math.floor(flags / 0x40) % 2 === 1 && length === 64;
  if (isLinkLocal(prefix) || isMulticast(prefix) || !(onLink || autonomous)) return;
  const others = six.prefixes.filter((one) => one.prefix !== prefix || one.length !== length);
  const said = uint32(data, 4);
  const valid = said === 0 && six.fault("a prefix of lifetime 0 stays") ? 600 : said;
  if (valid === 0) {
    if (others.length < six.prefixes.length) six.reach("a prefix is forgotten");
    six.prefixes = others;
    return;
  }
  if (others.length >= 8) {
    six.reach("no place for a prefix");
    return;
  }
  six.prefixes = [...others, { prefix, length, onLink, autonomous, end: endOf(six, valid) }];
}

function teachDns(six: State6, data: Uint8Array): void {
  const lifetime = uint32(data, 4);
  for (let at = 8; at < data.length; at += 16) {
    const address = addressAt(data, at);
    if (isMulticast(address) || address === 0n) continue;
    const others = six.advertisedDns.filter((one) => one.address !== address);
    if (lifetime > 0 && others.length >= 8) {
      six.reach("no place for a DNS server");
      continue;
    }
    if (lifetime === 0 && others.length < six.advertisedDns.length) six.reach("a DNS server is forgotten");
    six.advertisedDns = lifetime === 0 ? others : [...others, { address, end: endOf(six, lifetime) }];
  }
}

function teachNat64(six: State6, data: Uint8Array): void {
  const length = [96, 64, 56, 48, 40, 32][data[3]! % 8];
  if (length === undefined) return;
  const lifetime = Math.floor(uint16(data, 2) / 8) * 8;
  const whole = new Uint8Array(16);
  whole.set(data.slice(4, 16));
  const { prefix } = masked(addressAt(whole, 0), length);
  const others = six.nat64.filter((one) => one.prefix !== prefix || one.length !== length);
  if (lifetime > 0 && others.length >= 4) {
    six.reach("no place for a NAT64 prefix");
    return;
  }
  if (lifetime === 0 && others.length < six.nat64.length) six.reach("a NAT64 prefix is forgotten");
  six.nat64 = lifetime === 0 ? others : [...others, { prefix, length, end: six.now + lifetime * SECOND }];
}
