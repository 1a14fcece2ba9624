/** Twenty networks made in pairs at the same instant, with real TAPs, where there is room for just the two. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { test } from "node:test";
import { enterFreshNamespace, ip } from "../../support/namespace.ts";
import { LIMIT, until } from "../../support/patience.ts";
import { needs, needsTun, pathOf } from "../../support/tools.ts";

const skip = { ...needsTun(), ...needs("ip", "nft") };

/** Makes a network for each line on its input, and gives it back at the next one. */
const MAKER = `
import { createInterface } from "node:readline";
import { openNat } from "${new URL("../../../src/networks/nat/nat.ts", import.meta.url)}";
import { loadLibc } from "${new URL("../../../src/native/linux/libc.ts", import.meta.url)}";
const libc = loadLibc();
const options = { type: "nat", vmMac: "7e:1a:00:00:00:01", rules: [], isolated: true, dns: "9.9.9.9", mtu: 1500, connections: 4096, directory: "/run/softnet", warn: () => {} };
let network;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "open") network = await openNat(libc, options);
  else network.close();
  console.log(network.subnet);
}
`;

async function* linesOf(stream: AsyncIterable<string>): AsyncGenerator<string> {
  let text = "";
  for await (const part of stream) {
    text += part;
    const lines = text.split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

test("20 starts in pairs at the same instant never share a subnet", { ...skip, ...LIMIT }, async (t) => {
  const leave = enterFreshNamespace();
  try {
    ip("link", "set", "lo", "up");
    for (const taken of ["172.16.0.1/12", "192.168.0.1/16"]) ip("address", "add", taken, "dev", "lo");
    // All of 10.0.0.0/8 but its first eight addresses.
    for (let length = 9; length <= 29; length++) {
      const address = 0x0a000000 + 2 ** (32 - length);
      const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
      ip("address", "add", `${text}/${length}`, "dev", "lo");
    }
    const pair = [0, 1].map(() => {
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", MAKER], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      t.after(() => child.kill("SIGKILL"));
      child.stdin.on("error", () => {}); // it ended early: that no line comes says it
      return { child, lines: linesOf(child.stdout.setEncoding("utf8")) };
    });
    const tell = async (word: string): Promise<string[]> => {
      for (const { child } of pair) child.stdin.write(`${word}\n`);
      return await Promise.all(pair.map(async ({ lines }) => (await lines.next()).value));
    };
    for (let round = 0; round < 10; round++) {
      const subnets = await tell("open");
      assert.deepEqual(subnets.toSorted(), ["10.0.0.0/30", "10.0.0.4/30"], `round ${round}`);
      await tell("close");
    }
    for (const { child } of pair) child.stdin.end();
    await Promise.all(pair.map(({ child }) => new Promise((resolve) => child.once("exit", resolve))));
    // The helper tidies up behind the last of them.
    const rules = (): string => spawnSync(pathOf("nft")!, ["list", "ruleset"], { encoding: "utf8" }).stdout;
    await until("the rules are gone", () => rules() === "" || undefined);
    assert.deepEqual(ip("-brief", "link").trim().split("\n").length, 1, "a TAP is left");
    assert.equal(spawnSync("cat", ["/proc/sys/net/ipv4/ip_forward"], { encoding: "utf8" }).stdout, "0\n");
  } finally {
    leave();
  }
});
