/** What the tests of a running softnet's control channel share. */
import assert from "node:assert/strict";
import { chmodSync, existsSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { Controller } from "../control/support.ts";
import { type Ran, softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, type RunningOptions, startSoftnet, until } from "../support/running.ts";
import { pair } from "../support/sockets.ts";
import { needsReadable } from "../support/tools.ts";

export const VM = 0x020000000011;
export const ROUTER = 0x020000000001;
export const ADDRESS = 0xc0a84009; // 192.168.64.9
export const FAR = 0x01010101;
export const PRIVATE = 0x0a000001; // 10.0.0.1
export const STATIC = ["--vm-ip-address", "192.168.64.9", "--gateway", "192.168.64.1"];
export const NOBODY = 65_534;
export const READABLE = needsReadable();
export const AS_USER = process.getuid?.() === 0 ? { uid: NOBODY } : {};

export const udp = (destination: number, port = 443): Uint8Array =>
  emitEthernet(
    ROUTER,
    VM,
    0x0800,
    emitUdp({ source: ADDRESS, destination, sourcePort: 4000, destinationPort: port }, new Uint8Array(20)),
  );
export const set = (allow: readonly string[], block: readonly string[] = []): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "softnet.policy.set", params: { allow, block } });
export const ask = (method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

export async function arrives(running: Running, frame: Uint8Array): Promise<void> {
  running.vm.send(frame);
  assert.deepEqual(await until("a frame at the network", () => running.network.receive()), Buffer.from(frame));
}

/** Sends a frame that must not arrive, and one behind it that does. */
export async function isDropped(running: Running, frame: Uint8Array): Promise<void> {
  running.vm.send(frame);
  await arrives(running, udp(FAR));
}

/** softnet with a control channel on descriptor 5. */
export async function controlled(t: TestContext, options: RunningOptions = {}) {
  const { fd, end } = pair(SOCK_STREAM);
  const running = await startSoftnet(t, {
    ...options,
    args: [...STATIC, "--control-fd", "5", ...(options.args ?? [])],
    fifth: fd,
  });
  return { running, controller: new Controller(t, end) };
}

export function place(t: TestContext, name: string): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  return join(folder, name);
}

/** softnet with a control socket, as an ordinary user's. */
export async function listening(t: TestContext, options: RunningOptions = {}) {
  const path = place(t, "control");
  const args = [...STATIC, "--control-socket", path, ...(options.args ?? [])];
  const running = await startSoftnet(t, { ...AS_USER, ...options, args });
  await until(`the socket\n${running.stderr()}`, () => existsSync(path));
  const ctl = (...words: readonly string[]): Ran => softnet(["ctl", path, ...words]);
  return { running, path, ctl };
}

export const parsed = (line: string) => JSON.parse(line).result;
