/**
 * What a policy with flows costs the whole relay, and how fast it answers: the CPU time of a frame with 4,096 rules and
 * 30,000 live flows beside that of a softnet without rules, in interleaved rounds; how long a new policy takes to be in
 * force meanwhile; and how long a guest waits for the RST that tells it no.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { synOf, VM_ADDRESS, VM_MAC } from "./frames.ts";
import { FLOWS, liveFrames, RULE_TEXTS } from "./live-frames.ts";
import * as processes from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 11;
const FRAMES = 90_000;
const CHANGES = 50;
const CONNECTS = 50;
const FORBIDDEN = 0x05050505;

export async function livePolicy(loader: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bench-"));
  try {
    chmodSync(folder, 0o1777); // root's softnet becomes nobody, and reads and listens as such
    const file = join(folder, "policy");
    writeFileSync(file, `${RULE_TEXTS.map((rule) => `block ${rule}`).join("\n")}\n`);
    await cost(loader, file);
    await reaction(loader, join(folder, "control"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function contestant(name: string, ...more: readonly string[]): processes.Contestant {
  const args = ["--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC, "--vm-ip-address", VM_ADDRESS];
  return { name, command: process.execPath, args: [processes.PUBLISHED, ...args, ...more] };
}

async function cost(loader: string, file: string): Promise<void> {
  const frames = liveFrames();
  const contestants = [contestant("no rules"), contestant("4,096 rules, 30,000 flows", "--policy", file)];
  const running = contestants.map((one) => {
    const wires = processes.makeWires();
    return { name: one.name, wires, child: processes.start(one, wires), spent: [] as number[] };
  });
  const send = (wires: processes.Wires, count: number) => processes.load(loader, wires, frames, count, 512, FLOWS);
  try {
    for (const { wires } of running) send(wires, FRAMES);
    for (let round = 0; round < ROUNDS; round++) {
      for (const { wires, child, spent } of running) {
        const before = processes.cpuTime(child.pid!);
        send(wires, FRAMES);
        spent.push((processes.cpuTime(child.pid!) - before) / FRAMES);
      }
    }
  } finally {
    for (const { child, wires } of running) {
      child.kill("SIGKILL");
      await processes.ended(child);
      wires.close();
    }
  }
  const [without, withFlows] = running.map(({ spent }) => spent) as [number[], number[]];
  console.log("\nPolicy, 64-byte frames to 30,000 addresses   CPU ns a frame");
  for (const { name, spent } of running) console.log(`  ${name.padEnd(42)} ${show(spread(spent))}`);
  const ratio = spread(withFlows.map((value, round) => value / without[round]!));
  console.log(`  ratio                                      ${show(ratio, 2)} (goal 1.15)`);
}

async function reaction(loader: string, path: string): Promise<void> {
  const wires = processes.makeWires();
  const child = processes.start(
    contestant("", "--control-socket", path, "--reject", "--block", "5.5.5.5/32,in 192.0.2.0/24"),
    wires,
  );
  try {
    const frames = liveFrames();
    processes.load(loader, wires, frames, FRAMES, 512, FLOWS);
    const connects: number[] = [];
    // Both ends of this load are the guest's: what comes back is the answer.
    const guest = { far: [wires.far[0], wires.far[0]] as const };
    for (let turn = 0; turn < CONNECTS; turn++) {
      connects.push(processes.load(loader, guest, synOf(FORBIDDEN), 1, 1) / 1e6);
      await new Promise((resolve) => setTimeout(resolve, 20)); // 100 answers a second
    }
    const channel = connect(path);
    const lines = createInterface({ input: channel })[Symbol.asyncIterator]();
    const set = async (block: readonly string[], id: number): Promise<number> => {
      const begin = performance.now();
      channel.write(
        `${JSON.stringify({ jsonrpc: "2.0", id, method: "softnet.policy.set", params: { allow: [], block } })}\n`,
      );
      await lines.next();
      return performance.now() - begin;
    };
    const [few, many]: [number[], number[]] = [[], []];
    for (let change = 0; change < CHANGES; change++) {
      many.push(await set(RULE_TEXTS, 2 * change));
      few.push(await set(["out 1.0.0.0/8"], 2 * change + 1));
    }
    channel.destroy();
    console.log(`A denied connection hears of it after       ${show(spread(connects), 2)} ms (goal 50)`);
    console.log(
      `A new policy is in force, 30,000 flows judged: one rule ${show(spread(few), 1)} ms, 4,096 rules ${show(spread(many), 1)} ms (goal 100)`,
    );
  } finally {
    child.kill("SIGKILL");
    await processes.ended(child);
    wires.close();
  }
}
