/**
 * The keeper: what it makes of softnet's changes, of many at once, of what nft does not take, and of lines that softnet
 * itself never writes. In a network namespace of its own, with a real nft.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Keeper } from "../../src/keeper/keeper.ts";
import { KEEPER_SCRIPT } from "../../src/keeper/script.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { needs, needsRoot, pathOf } from "../support/tools.ts";

const NEEDS = { ...needsRoot(), ...needs("nft", "setpriv", "ip"), timeout: 60_000 };
const NOBODY = 65_534;
const TAP = "softnet-none";
const TABLE = "inet softnet_kept";
const RULES = [
  `create table ${TABLE} { flags owner; }`,
  `add set ${TABLE} one { type ipv4_addr; flags interval; }`,
  `add set ${TABLE} two { type ipv4_addr; flags interval; }`,
];

let leave = (): void => {};
before(() => {
  if (NEEDS.skip !== undefined) return;
  leave = enterFreshNamespace();
  ip("link", "set", "lo", "up");
});
after(() => leave());

function start(): Promise<Keeper> {
  const programs = { setpriv: pathOf("setpriv")!, nft: pathOf("nft")! };
  const identity = { uid: NOBODY, gid: NOBODY };
  return Keeper.start({ ...programs, ...identity, tap: TAP, table: TABLE, sets: ["one", "two"], rules: RULES });
}

/** What nft lists; asked again when it crashes (1.0.6 may, over a table with an owner). Empty for what is not there. */
function list(...what: readonly string[]): string {
  for (let tries = 0; tries < 100; tries++) {
    const { status, stdout, stderr } = spawnSync(pathOf("nft")!, ["list", ...what], { encoding: "utf8" });
    if (status === 0) return stdout;
    if (/No such file/.test(stderr)) return "";
  }
  throw new Error(`nft does not list ${what.join(" ")}`);
}

/** The sets' elements, as nft lists them. */
function elements(): string[] {
  return ["one", "two"].map((name) => {
    const inside = /elements = \{ ([^}]*) \}/.exec(list("set", ...TABLE.split(" "), name))?.[1] ?? "";
    return `${name}: ${inside.replace(/\s+/g, " ")}`;
  });
}

function isGone(): boolean {
  return !list("tables").includes(TABLE);
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a change sets all elements at once, and an empty set is empty", NEEDS, async () => {
  const keeper = await start();
  try {
    assert.deepEqual(elements(), ["one: ", "two: "]);
    keeper.change(() => ["10.0.0.0-10.0.0.255,1.2.3.4", "5.6.7.8"]);
    await until("the change", () => elements()[1] === "two: 5.6.7.8");
    assert.deepEqual(elements(), ["one: 1.2.3.4, 10.0.0.0/24", "two: 5.6.7.8"]);
    keeper.change(() => ["10.0.0.7-10.1.2.3", "-"]); // overlaps what is there
    await until("the next change", () => elements()[1] === "two: ");
    assert.deepEqual(elements(), ["one: 10.0.0.7-10.1.2.3", "two: "]);
  } finally {
    keeper.close();
  }
  await until("the table is gone", isGone);
});

test("of ten thousand changes at once the first and the last are told, and nothing piles up", NEEDS, async () => {
  const keeper = await start();
  try {
    const told: number[] = [];
    for (let number = 0; number < 10_000; number++) {
      keeper.change(() => {
        told.push(number);
        return [`10.${number >> 8}.${number & 255}.1`, "-"];
      });
    }
    await until("the last change", () => elements()[0] === `one: 10.${9_999 >> 8}.${9_999 & 255}.1`);
    assert.deepEqual(told, [0, 9_999]);
  } finally {
    keeper.close();
  }
  await until("the table is gone", isGone);
});

test("as many elements as there can be are taken", NEEDS, async () => {
  const keeper = await start();
  try {
    const many = Array.from({ length: 4_160 }, (_, index) => {
      const prefix = `203.${100 + (index >> 8)}.${index & 255}`;
      return `${prefix}.100-${prefix}.199`;
    }).join(",");
    keeper.change(() => [many, many]);
    keeper.change(() => ["1.1.1.1", many]);
    await until("both changes", () => elements()[0] === "one: 1.1.1.1");
    assert.equal(elements()[1]!.split(",").length, 4_160);
  } finally {
    keeper.close();
  }
  await until("the table is gone", isGone);
});

for (const [what, words, why] of [
  ["nft does not take", ["9.9.9.9-1.1.1.1", "-"], /nft does not take a change of policy/],
  ["is no addresses", ["1.1.1.1 }; flush ruleset", "-"], /cannot be told: no addresses/],
  ["is too long", [Array(150_000).fill("1.1.1.1").join(","), "-"], /cannot be told: .* too many/],
] as const) {
  test(`a change that ${what} ends the keeping, and changes nothing`, NEEDS, async () => {
    const keeper = await start();
    try {
      keeper.change(() => ["1.1.1.1", "-"]);
      await until("a change", () => elements()[0] === "one: 1.1.1.1");
      const ended = new Promise<string>((resolve) => {
        keeper.onEnd = resolve;
      });
      keeper.change(() => words);
      assert.match(await ended, why);
      assert.ok(keeper.ended);
      assert.deepEqual(elements(), ["one: 1.1.1.1", "two: "], "the rules stand until softnet has stopped");
    } finally {
      keeper.close();
    }
    await until("the table is gone", isGone);
  });
}

/** What a softnet that somebody took over might write: all of it must mean nothing. */
const HOSTILE = [
  "flush ruleset",
  "add table inet evil",
  'include "/etc/shadow"',
  "set",
  "set ",
  "set 6.6.6.6",
  "set 6.6.6.6 } ; add table inet evil ; add element inet softnet_kept one { 7.7.7.7",
  "set 6.6.6.6;flush 7.7.7.7",
  "set 6.6.6.6 $(touch$IFS/tmp/evil)",
  "set @one 6.6.6.6",
  "set example.org 6.6.6.6",
  "set * ?",
  "set 6.6.6.6\\n 7.7.7.7",
  "set \"6.6.6.6\" '7.7.7.7'",
  "set\t6.6.6.6\t7.7.7.7",
  " set 6.6.6.6 7.7.7.7",
  "sett 6.6.6.6 7.7.7.7",
  "set 6.6.6.6 7.7.7.7 # x",
  "describe meta nfproto",
  "",
];

test("lines that softnet does not write change nothing, and name no other table, file or command", NEEDS, async () => {
  const nft = pathOf("nft")!;
  assert.equal(spawnSync(nft, ["add table inet bystander"]).status, 0);
  const keeper = spawn("/bin/sh", ["-c", KEEPER_SCRIPT, "keeper", nft, TAP, TABLE, "one two"]);
  let said = "";
  keeper.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  try {
    keeper.stdin.write(`-\n${RULES.join("; ")}\nset 1.1.1.1 2.2.2.2\n`);
    await until("the keeper is ready", () => elements()[1] === "two: 2.2.2.2");
    const before = [list("tables"), list("chains")];
    keeper.stdin.write(HOSTILE.map((line) => `${line}\n`).join(""));
    keeper.stdin.write("set 1.1.1.1 3.3.3.3\n");
    await until("the last line", () => elements()[1] === "two: 3.3.3.3");
    assert.deepEqual([list("tables"), list("chains")], before);
    assert.deepEqual(elements(), ["one: 1.1.1.1", "two: 3.3.3.3"]);
    assert.doesNotMatch(said, /Error|root:/);
  } finally {
    keeper.stdin.end("goodbye\n");
    spawnSync(nft, ["delete table inet bystander"]);
  }
  await until("the table is gone", isGone);
});
