/** Transfers in large frames, and what a capture has of them. */
import assert from "node:assert/strict";
import { openCapture } from "../../../src/capture/index.ts";
import type { Guest } from "./guest.ts";
import { INTERNET, tool } from "./topology.ts";

/** Of the MTU of 1,500. */
export const LONGEST = 1514;

/** One transfer each way, intact. `server`: an address as it stands in a URL. */
export async function transfer(guest: Guest, bytes: number, server: string = INTERNET): Promise<void> {
  assert.equal(await guest.download(bytes, server), bytes, "the download is not intact");
  const args = [tool("upload.ts"), `http://${server}/`, String(bytes)];
  const { stdout, stderr } = await guest.namespace.run(process.execPath, args);
  assert.equal(stdout.trim(), String(bytes), `the upload is not intact: ${stderr}`);
}

/** How many large frames passed each way; all of them are TCP of the family. */
export function largeFrames(path: string, family: "IPv4" | "IPv6" = "IPv4"): { egress: number; ingress: number } {
  const ipv6 = family === "IPv6";
  const found = { egress: 0, ingress: 0 };
  for (const { bytes, interfaceIndex, comment = "" } of openCapture(path)) {
    if (bytes.length <= LONGEST) continue;
    assert.match(comment, ipv6 ? /^offload TCP6 1[0-9]{3}$/ : /^offload TCP 1[0-9]{3}$/);
    assert.deepEqual([bytes[12], bytes[13], bytes[ipv6 ? 20 : 23]], ipv6 ? [0x86, 0xdd, 6] : [8, 0, 6]);
    if (interfaceIndex === 0) found.egress++;
    else found.ingress++;
  }
  return found;
}
