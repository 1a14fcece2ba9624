/** softnet top's screen, without a terminal: from what softnets say to lines of text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostVm } from "../../../src/operate/host-vms.ts";
import { short } from "../../../src/operate/top/figures.ts";
import { keysIn } from "../../../src/operate/top/keys.ts";
import { paint, plainText } from "../../../src/operate/top/paint.ts";
import { rowsOf } from "../../../src/operate/top/rates.ts";
import { RecentNames } from "../../../src/operate/top/recent-names.ts";
import type { NameTotal, Sample } from "../../../src/operate/top/sample.ts";
import { drawScreen, type Picture } from "../../../src/operate/top/screen.ts";
import { AT_START, press, type ScreenState } from "../../../src/operate/top/state.ts";

/** What paint.ts writes beside text, and that part of it which sets colours. */
const ESC = String.fromCharCode(27);
const PAINTED = new RegExp(`${ESC}\\[(?:[0-9]*m|[HKJ])`, "g");
const COLOUR = new RegExp(`${ESC}\\[[0-9;]*m`);

interface Counts {
  readonly frames?: number;
  readonly bytes?: number;
  readonly drops?: Readonly<Record<string, number>>;
  readonly uptime?: number;
}

const vm = (name: string, { frames = 0, bytes = 0, drops = {}, uptime = 60 }: Counts = {}) =>
  hostVm(
    { name, control: `/run/${name}`, addresses: [], namedByRoot: true },
    {
      uptime,
      mac: "02:00:00:00:00:11",
      interface: "vm0",
      network: "bridge br0",
      binding: { address: "10.77.0.9" },
      policy: { ruleCount: 2, source: "file" },
      flows: { inUse: 3, limit: 32_768 },
      counters: { egress: { frames, bytes, drops }, ingress: { frames: 0, bytes: 0, drops: {} } },
    },
  );

const UNASKED = {
  ...hostVm({ name: "closed", control: "/run/closed", mac: "02:00:00:00:00:22", addresses: [], namedByRoot: true }),
  error: "/run/closed: permission denied: only the user who started that softnet may connect",
};

const sample = (
  at: number,
  vms: Sample["vms"],
  names: Readonly<Record<string, readonly NameTotal[]>> = {},
): Sample => ({
  at,
  vms,
  names: new Map(Object.entries(names)),
});

const total = (name: string, asked: number, denied = 0): NameTotal => ({ name, asked, denied, passed: 0, refused: 0 });

const ROWS = rowsOf(
  sample(3000, [
    vm("db"),
    vm("web", { frames: 2100, bytes: 301_000, drops: { "policy.block": 44, "arp.sender-address": 90 } }),
    UNASKED,
  ]),
  sample(1000, [
    vm("db"),
    vm("web", { frames: 100, bytes: 1000, drops: { "policy.block": 4, "arp.sender-address": 90 } }),
    UNASKED,
  ]),
);

const picture = (change: Partial<Picture> = {}): Picture => ({
  rows: ROWS,
  unguarded: [],
  state: AT_START,
  size: { columns: 120, rows: 12 },
  clock: "12:00:00",
  recent: ({ vm }) => (vm.name === "web" ? ["a.example.com", "b.example.com"] : []),
  names: ({ vm }) => (vm.name === "web" ? [total("a.example.com", 5), total("b.example.com", 1, 1)] : []),
  ...change,
});

const texts = (change: Partial<Picture> = {}): string[] => drawScreen(picture(change)).map(({ text }) => text);

test("each VM is a line: rates each way, flows, drops with the reason that happens most, last names", () => {
  assert.deepEqual(texts({ size: { columns: 124, rows: 12 } }), [
    "softnet top  12:00:00  3 VMs, 1 cannot be asked",
    "  NAME    OUT fr/s OUT bit/s   IN fr/s  IN bit/s     FLOWS   DROPS/s  REASON                 LAST NAMES",
    "> db             0         0         0         0         3         0",
    "  web         1.0k      1.2M         0         0         3        20  policy.block           a.example.com, b.example.com",
    "  closed cannot be asked: permission denied: only the user who started that softnet may connect",
    "up, down: choose a VM   Enter: the VM in detail   q: end",
  ]);
});

test("one VM in detail: what it is, traffic, drops by reason, names with denied ones first", () => {
  const state: ScreenState = { chosen: "/run/web", detail: true, offset: 0 };
  const lines = texts({ state, size: { columns: 110, rows: 40 } });
  assert.equal(lines[0], "softnet top  12:00:00  web");
  for (const line of [
    "MAC        02:00:00:00:00:11, interface vm0",
    "addresses  10.77.0.9",
    "policy     2 rules, by file",
    "flows      3 of 32768",
    "from the VM         1.0k        1.2M        2.1k        301k",
    "last asked: a.example.com, b.example.com",
  ])
    assert.ok(lines.includes(line), `${line}\nin\n${lines.join("\n")}`);
  const block = lines.findIndex((line) => /^ +20 +44 {2}policy\.block +\w/.test(line));
  assert.match(lines[block + 1]!, /^ +0 +90 {2}arp\.sender-address/);
  const denied = lines.findIndex((line) => /^ +1 +1 +0 +0 {2}b\.example\.com$/.test(line));
  assert.match(lines[denied + 1]!, /^ +5 +0 +0 +0 {2}a\.example\.com$/);
  const scrolled = texts({ state: { ...state, offset: 99 }, size: { columns: 110, rows: 6 } });
  assert.equal(scrolled.length, 6);
  assert.match(scrolled[4]!, /a\.example\.com$/, "the end of the page, and no further");
});

test("a screen is never larger than the terminal, and the chosen VM is on it", () => {
  const many = rowsOf(
    sample(
      0,
      Array.from({ length: 100 }, (_, index) => vm(`vm-${index}`)),
    ),
    undefined,
  );
  for (const size of [
    { columns: 40, rows: 10 },
    { columns: 1, rows: 1 },
    { columns: 200, rows: 3 },
  ]) {
    for (const chosen of [0, 50, 99]) {
      for (const detail of [false, true]) {
        const state = { chosen: `/run/vm-${chosen}`, detail, offset: 0 };
        const lines = texts({ rows: many, state, size });
        assert.ok(lines.length <= size.rows && lines.every((line) => line.length <= size.columns));
        if (!detail && size.rows > 3) assert.ok(lines.some((line) => line.startsWith(`> vm-${chosen} `)));
      }
    }
  }
});

test("rates need a sample before, of the same run of that softnet", () => {
  const [first] = rowsOf(sample(0, [vm("web", { frames: 5 })]), undefined);
  assert.deepEqual([first!.fromVm, first!.dropRate], [{ frames: 5, bytes: 0 }, undefined]);
  const [again] = rowsOf(
    sample(2000, [vm("web", { frames: 5, uptime: 1 })]),
    sample(0, [vm("web", { frames: 4, uptime: 900 })]),
  );
  assert.equal(again!.fromVm?.framesRate, undefined);
});

test("the last names are those whose counts grew last, and few are kept", () => {
  const names = new RecentNames();
  const vms = [vm("web")];
  const note = (...totals: NameTotal[]): readonly string[] => {
    names.note(sample(0, vms, { "/run/web": totals }));
    return names.of("/run/web");
  };
  assert.deepEqual(note(total("a", 1), total("b", 1)), ["b", "a"]);
  assert.deepEqual(note(total("a", 2), total("b", 1)), ["a", "b"]);
  assert.deepEqual(note(total("a", 2), total("b", 1), total("c", 1)), ["c", "a", "b"]);
  const more = Array.from({ length: 4000 }, (_, index) => total(`n${index}`, 1));
  assert.equal(note(...more).length, 5);
  names.note(sample(0, [], {}));
  assert.deepEqual(names.of("/run/web"), []);
});

test("control characters that a guest or another program made never reach the terminal", () => {
  const evil = "\u001b]0;owned\u0007\u009b31m\u202e\r\n";
  const hostile = hostVm(
    { control: "/run/x", addresses: [], namedByRoot: false },
    {
      name: evil,
      mac: evil,
      network: evil,
      interface: evil,
      binding: { address: evil },
      policy: { source: evil, ruleCount: evil },
      counters: { egress: { frames: evil, drops: { [evil]: 3 } }, ingress: evil },
      flows: evil,
    },
  );
  const rows = rowsOf(sample(1000, [hostile]), sample(0, [hostile]));
  for (const detail of [false, true]) {
    const lines = drawScreen(
      picture({ rows, state: { detail, offset: 0 }, recent: () => [evil], names: () => [total(evil, 1)] }),
    );
    assert.doesNotMatch(plainText(lines).replaceAll("\n", ""), /[^ -~]/);
    // Nothing but what paint.ts itself writes.
    const rest = paint(lines, true).replaceAll(PAINTED, "");
    assert.doesNotMatch(rest.replaceAll("\r\n", ""), /[^ -~]/);
    assert.equal(rest.split("\r\n").length, lines.length);
  }
});

test("without colour there is no sequence that sets one", () => {
  assert.doesNotMatch(paint(drawScreen(picture()), false), COLOUR);
  assert.ok(paint(drawScreen(picture()), true).includes("\u001b[7m> db"));
});

test("keys choose a VM, open it, scroll and go back; anything else does nothing", () => {
  const keys = ["a", "b", "c"];
  const after = (input: string, from: ScreenState = AT_START): ScreenState =>
    keysIn(input).reduce((state, key) => press(state, key, keys), from);
  assert.equal(after("\u001b[B\u001b[B").chosen, "c");
  assert.equal(after("\u001bOB\u001bOB\u001bOB\u001b[A").chosen, "b");
  assert.equal(after("G").chosen, "c");
  assert.deepEqual(after("j\r"), { chosen: "b", detail: true, offset: 0 });
  assert.equal(after("\rjjk").offset, 1);
  assert.equal(after("\r\u001b").detail, false);
  assert.deepEqual(after("x\u001b[200~\u001b[1;5Az\u0000"), AT_START);
  assert.deepEqual(keysIn("q\u0003\u0004"), ["quit", "quit", "quit"]);
  assert.equal(press(AT_START, "enter", []).detail, false);
});

test("figures fit into few characters", () => {
  assert.deepEqual([undefined, 0, 0.04, 0.5, 9.94, 9.96, 950, 999.6, 1200, 88_000_000, 1e20].map(short), [
    "-",
    "0",
    "0.0",
    "0.5",
    "9.9",
    "10",
    "950",
    "1.0k",
    "1.2k",
    "88M",
    "100000P",
  ]);
});

test("cards without softnet stand above the VMs, as warnings, and leave room for them", () => {
  const cards = [2, 3, 4, 5].map((number) => ({
    domain: "vm1",
    mac: `52:54:00:00:00:0${number}`,
    interface: `vnet${number}`,
    network: "bridge br0",
  }));
  const one = drawScreen(picture({ unguarded: cards.slice(0, 1) }));
  assert.deepEqual(one[1], { text: "UNGUARDED: vm1 52:54:00:00:00:02 vnet2, bridge br0", style: "warning" });
  assert.match(one[2]!.text, /^ {2}NAME /);
  assert.equal(one.length, 1 + drawScreen(picture()).length);
  const four = drawScreen(picture({ unguarded: cards, size: { columns: 120, rows: 7 } }));
  assert.equal(four[3]!.text, "UNGUARDED: 2 more: softnet list has them");
  assert.equal(four.length, 7);
  assert.match(four[5]!.text, /^> db /);
  const bare = drawScreen(picture({ unguarded: [{ domain: "vm1", network: "type user" }] }));
  assert.equal(bare[1]!.text, "UNGUARDED: vm1, type user");
});
