/**
 * Offloads of a network interface, as ethtool(8) shows and sets them, which may not be installed:
 *
 * node features.ts LINK tx=off tso=off gso=off gro=off sg=off rx=off uso=off
 */
import koffi from "koffi";
import { AF_INET, IFREQ, SOCK_DGRAM } from "../../../src/native/linux/libc.ts";
import { allocate } from "../../../src/native/memory.ts";
import { libc } from "../../support/sockets.ts";

// linux/sockios.h, linux/ethtool.h: each feature's number to read it; the next one sets it.
const SIOCETHTOOL = 0x8946;
const FEATURES = { rx: 0x14, tx: 0x16, sg: 0x18, tso: 0x1e, gso: 0x23, gro: 0x2b } as const;
/** Those that have no number, only a name: `ethtool -K LINK tx-udp-segmentation off`. */
const NAMED = { uso: "tx-udp-segmentation" } as const;

const GET_STRINGS = 0x1b;
const GET_COUNTS = 0x37;
const GET_FEATURES = 0x3a;
const SET_FEATURES = 0x3b;
const FEATURE_NAMES = 4; // ETH_SS_FEATURES
const NAME_SIZE = 32; // ETH_GSTRING_LEN

export type Feature = keyof typeof FEATURES | keyof typeof NAMED;

/** One request: 32-bit words there and back, `size` bytes of room. Returns what came back, or undefined where it failed. */
function call(link: string, words: readonly number[], size = 8): DataView | undefined {
  const memory = allocate(size);
  const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, size);
  for (const [index, word] of words.entries()) view.setUint32(4 * index, word, true);
  const request = new Uint8Array(IFREQ.size);
  request.set(Buffer.from(link));
  new DataView(request.buffer).setBigUint64(IFREQ.nameSize, BigInt(memory.address), true);
  const fd = libc.socket(AF_INET, SOCK_DGRAM, 0);
  const failed = libc.ioctl(fd, SIOCETHTOOL, "void *", request) < 0;
  libc.close(fd);
  const answer = new DataView(memory.bytes.slice().buffer);
  memory.free();
  return failed ? undefined : answer;
}

/** Where a named feature's bit is: its block, and its bit there; and how many blocks there are. */
function placeOf(link: string, name: string): { block: number; bit: number; blocks: number } | undefined {
  // Behind the command a reserved word, and a mask of 64 bits of what is to be counted.
  const count = call(link, [GET_COUNTS, 0, 1 << FEATURE_NAMES, 0], 20)?.getUint32(16, true) ?? 0;
  const strings = call(link, [GET_STRINGS, FEATURE_NAMES, count], 12 + count * NAME_SIZE);
  if (strings === undefined) return undefined;
  for (let index = 0; index < count; index++) {
    const text = Buffer.from(strings.buffer, 12 + index * NAME_SIZE, NAME_SIZE).toString("latin1");
    if (text.split("\0", 1)[0] !== name) continue;
    return { block: index >>> 5, bit: (1 << (index & 31)) >>> 0, blocks: Math.ceil(count / 32) };
  }
  return undefined;
}

function isOn(link: string, feature: Feature): boolean {
  if (feature in FEATURES) {
    return (call(link, [FEATURES[feature as keyof typeof FEATURES]])?.getUint32(4, true) ?? 0) > 0;
  }
  const place = placeOf(link, NAMED[feature as keyof typeof NAMED]);
  if (place === undefined) return false;
  // Of each block: available, requested, active, never changed.
  const all = call(link, [GET_FEATURES, place.blocks], 8 + 16 * place.blocks);
  return all !== undefined && (all.getUint32(8 + 16 * place.block + 8, true) & place.bit) !== 0;
}

/** Which are on, in the calling thread's network namespace. */
export function featuresOf(link: string): Feature[] {
  return ([...Object.keys(FEATURES), ...Object.keys(NAMED)] as Feature[]).filter((feature) => isOn(link, feature));
}

/** Throws where the interface does not let it be set. A kernel that does not know a named one has nothing to set. */
export function setFeature(link: string, feature: Feature, on: boolean): void {
  if (requestOf(link, feature, on) === undefined) {
    throw new Error(`${link}: ${feature} cannot be set: error ${koffi.errno()}`);
  }
}

function requestOf(link: string, feature: Feature, on: boolean): DataView | undefined {
  if (feature in FEATURES) return call(link, [FEATURES[feature as keyof typeof FEATURES] + 1, on ? 1 : 0]);
  const place = placeOf(link, NAMED[feature as keyof typeof NAMED]);
  if (place === undefined) return new DataView(new ArrayBuffer(0));
  // Of each block: which are set, and how.
  const words = Array.from({ length: 2 * place.blocks }, () => 0);
  words[2 * place.block] = place.bit;
  words[2 * place.block + 1] = on ? place.bit : 0;
  return call(link, [SET_FEATURES, place.blocks, ...words], 8 + 8 * place.blocks);
}

if (import.meta.main) {
  const [link = "", ...settings] = process.argv.slice(2);
  for (const setting of settings) {
    const [feature, value] = setting.split("=");
    setFeature(link, feature as Feature, value === "on");
  }
  console.log(featuresOf(link).join(" "));
}
