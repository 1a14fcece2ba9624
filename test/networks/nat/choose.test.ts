/** Two hundred choices in pairs at the same instant, in processes of their own: no two get the same subnet. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { chooseSubnet } from "../../../src/networks/nat/choose.ts";
import { parseCidr } from "../../../src/policy/rule.ts";
import { UserError } from "../../../src/user-error.ts";
import { libc } from "../../support/sockets.ts";

const NOTHING = { networks: [], routes: [] };

/** Reserves a subnet for each line on its input, always beginning where everybody else begins, and tells it. */
const CHOOSER = `
import { createInterface } from "node:readline";
import { chooseSubnet } from "${new URL("../../../src/networks/nat/choose.ts", import.meta.url)}";
import { loadLibc } from "${new URL("../../../src/native/linux/libc.ts", import.meta.url)}";
const libc = loadLibc();
const state = { networks: [{ address: 0x0a000000, length: 8 }], routes: [] };
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(chooseSubnet(libc, state, undefined, [], () => 0.5).subnet.address);
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

test("200 choices in pairs at the same instant are 200 subnets", { timeout: 30_000 }, async (t) => {
  const pair = [0, 1].map(() => {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", CHOOSER], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    return { child, lines: linesOf(child.stdout.setEncoding("utf8")) };
  });
  const chosen = new Set<string>();
  for (let round = 0; round < 100; round++) {
    for (const { child } of pair) child.stdin.write("\n");
    for (const { lines } of pair) chosen.add((await lines.next()).value);
  }
  assert.equal(chosen.size, 200);
});

test("--subnet: taken, overlapping, or none at all is one line", () => {
  const choose = (text: string, state = NOTHING as { networks: never[]; routes: never[] }) =>
    chooseSubnet(libc, state, text, []);
  const { subnet, lock } = choose("10.250.0.4/30");
  assert.deepEqual(subnet, parseCidr("10.250.0.4/30"));
  assert.throws(() => choose("10.250.0.4/30"), { name: UserError.name, message: /another softnet/ });
  libc.close(lock);
  const state = { networks: [parseCidr("10.250.0.0/16")!], routes: [] };
  assert.throws(() => chooseSubnet(libc, state, "10.250.0.4/30", []), {
    name: UserError.name,
    message: /--subnet 10\.250\.0\.4\/30 overlaps 10\.250\.0\.0\/16/,
  });
  assert.throws(() => choose("10.250.0.5/30"), { name: UserError.name, message: /^--subnet "10\.250\.0\.5\/30"/ });
  libc.close(choose("10.250.0.4/30").lock);
  const inside = chooseSubnet(libc, { networks: [], routes: [parseCidr("10.0.0.0/8")!] }, "10.250.0.4/30", []);
  assert.deepEqual(inside.inside, parseCidr("10.0.0.0/8"));
  libc.close(inside.lock);
});
