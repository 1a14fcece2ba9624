/**
 * Softnets with networks of their own that start, end and are killed in any order (H1): when all are gone the host is as
 * it was. SOFTNET_ROUNDS and SOFTNET_AT_ONCE say how many; CI has few, `npm run test:hosts` 200 of 30.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "../../src/host/helper-socket.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import { Random } from "../oracle/random.ts";
import { LIMIT } from "../support/patience.ts";
import { asBefore, helperOf, hostState } from "./harness/nat.ts";
import { openLab } from "./harness/nat-scenes.ts";
import { asBefore6, hasRoute, scene, state } from "./harness/nat6.ts";
import { until } from "./harness/program.ts";
import { softnetCommand } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds } from "./harness/topology.ts";

/** Where helpers listen: of every network namespace. */
const HELPERS = "/run/softnet/host";
const ROUNDS = Number(process.env.SOFTNET_ROUNDS ?? 6);
/** With IPv6: fewer, since what is done for both families was done in the others. */
const ROUNDS6 = Math.ceil(ROUNDS / 2);
const AT_ONCE = Number(process.env.SOFTNET_AT_ONCE ?? 8);
const SEED = Number(process.env.SOFTNET_SEED ?? 20_261_128);
/** What ends a softnet, how often each. */
const ENDS = ["SIGTERM", "SIGINT", "SIGKILL", "SIGKILL"] as const;

test(`H1 ${ROUNDS} rounds of ${AT_ONCE} softnets, started, stopped and killed in any order: the host is as it was after each`, {
  ...labNeeds("nft"),
  timeout: LIMIT.timeout + ROUNDS * AT_ONCE * 20_000,
}, async (t) => {
  const lab = openLab(t);
  const before = await hostState(lab.host);
  await playRounds(lab, ROUNDS, [], () => asBefore(lab.host, before));
});

test(`H1 the same with IPv6, ${ROUNDS6} rounds: its settings and routes, too, and the host's own route is never lost`, {
  ...labNeeds("nft"),
  timeout: LIMIT.timeout + ROUNDS6 * AT_ONCE * 20_000,
}, async (t) => {
  const { lab } = await scene(t);
  const before = await state(lab.host);
  await playRounds(lab, ROUNDS6, ["--ipv6"], async () => {
    await asBefore6(lab.host, before);
    assert.ok(hasRoute(lab.host));
  });
});

async function playRounds(lab: Lab, rounds: number, options: readonly string[], check: () => Promise<void>) {
  const random = new Random(SEED);
  const noSockets = sockets();
  let started = 0;
  const start = () => {
    const number = ++started;
    const mac = `7e:1a:01:00:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 255).toString(16).padStart(2, "0")}`;
    const [command, ...args] = softnetCommand([
      "--vm-tap",
      `s${number}`,
      "--vm-mac-address",
      mac,
      "--dns",
      INTERNET,
      ...options,
    ]);
    return lab.start(lab.host, command!, args, { label: `softnet ${number}` });
  };
  for (let round = 1; round <= rounds; round++) {
    const softnets = Array.from({ length: AT_ONCE }, start);
    const helperDies = random.chance(0.25);
    const ends = softnets.map(async (softnet, index) => {
      // Some are ended while they start, some when they forward.
      if (random.chance(0.5)) await softnet.line(/message=started/).catch(() => {});
      else await new Promise((resolve) => setTimeout(resolve, random.below(2_000)));
      if (helperDies && index === 0) {
        const helper = helperOf(lab.host);
        if (helper !== undefined) process.kill(helper, "SIGKILL");
      }
      softnet.signal(random.pick(ENDS));
      await softnet.ended();
    });
    await Promise.all(ends);
    if (helperDies) {
      const last = start();
      await last.line(/message=started/);
      last.signal("SIGTERM");
      await last.ended();
    }
    await check();
    assert.deepEqual(sockets(), noSockets, `round ${round}`);
    await until(`no helper is left after round ${round}`, () => helperOf(lab.host) === undefined);
  }
}

test("H1 a program that connects to the helper and closes at once takes nothing from the others", {
  ...labNeeds("nft"),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  const start = (number: number) => {
    const mac = `7e:1a:01:01:00:0${number}`;
    const [command, ...args] = softnetCommand(["--vm-tap", `g${number}`, "--vm-mac-address", mac, "--dns", INTERNET]);
    return lab.start(lab.host, command!, args, { label: `softnet ${number}` });
  };
  const first = start(1);
  await first.line(/message=started/);
  const libc = loadLibc();
  for (const file of readdirSync(HELPERS).filter((name) => !name.endsWith(".lock"))) {
    for (let times = 0; times < 50; times++) {
      const fd = connect(libc, `${HELPERS}/${file}`);
      if (fd !== undefined) libc.close(fd);
    }
  }
  const second = start(2);
  await second.line(/message=started/);
  for (const softnet of [first, second]) {
    softnet.signal("SIGTERM");
    await softnet.ended();
  }
  await until("the helper has ended", () => helperOf(lab.host) === undefined);
});

/** Names of unix sockets that are softnet's and have no path. */
function sockets(): string[] {
  return readFileSync("/proc/net/unix", "utf8").match(/@softnet\S*/g) ?? [];
}
