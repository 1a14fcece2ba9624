/**
 * Offloads of a network interface, as ethtool(8) shows and sets them, which may not be installed:
 *
 * node features.ts LINK tx=off tso=off gso=off gro=off sg=off rx=off
 */
import koffi from "koffi";
import { AF_INET, IFREQ, SOCK_DGRAM } from "../../../src/native/linux/libc.ts";
import { allocate } from "../../../src/native/memory.ts";
import { libc } from "../../support/sockets.ts";

// linux/sockios.h, linux/ethtool.h: each feature's number to read it; the next one sets it.
const SIOCETHTOOL = 0x8946;
const FEATURES = { rx: 0x14, tx: 0x16, sg: 0x18, tso: 0x1e, gso: 0x23, gro: 0x2b } as const;

export type Feature = keyof typeof FEATURES;

/** Asks or sets one (struct ethtool_value: a command and a number). Returns the number, or -1 where there is none. */
function call(link: string, command: number, value: number): number {
  const memory = allocate(8);
  const words = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, 8);
  words.setUint32(0, command, true);
  words.setUint32(4, value, true);
  const request = new Uint8Array(IFREQ.size);
  request.set(Buffer.from(link));
  new DataView(request.buffer).setBigUint64(IFREQ.nameSize, BigInt(memory.address), true);
  const fd = libc.socket(AF_INET, SOCK_DGRAM, 0);
  const failed = libc.ioctl(fd, SIOCETHTOOL, "void *", request) < 0;
  libc.close(fd);
  const answer = words.getUint32(4, true);
  memory.free();
  return failed ? -1 : answer;
}

/** Which are on, in the calling thread's network namespace. */
export function featuresOf(link: string): Feature[] {
  const all = Object.entries(FEATURES) as [Feature, number][];
  return all.filter(([, command]) => call(link, command, 0) > 0).map(([name]) => name);
}

export function setFeature(link: string, feature: Feature, on: boolean): void {
  if (call(link, FEATURES[feature] + 1, on ? 1 : 0) < 0) {
    throw new Error(`${link}: ${feature} cannot be set: error ${koffi.errno()}`);
  }
}

if (import.meta.main) {
  const [link = "", ...settings] = process.argv.slice(2);
  for (const setting of settings) {
    const [feature, value] = setting.split("=");
    setFeature(link, feature as Feature, value === "on");
  }
  console.log(featuresOf(link).join(" "));
}
