/** What the host's helper does for its softnets, with connections as a test holds them: of taken-over ones, too. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ownerOf } from "../../src/attach/attachment.ts";
import { AttachRecords } from "../../src/attach/record.ts";
import { Helper, type HelperOptions } from "../../src/host/helper.ts";
import { type LinuxLibc, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { UnixStream } from "../../src/ports/unix-stream.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/patience.ts";
import { type End, libc, pair } from "../support/sockets.ts";
import { needsRoot } from "../support/tools.ts";

const LINUX = { skip: process.platform !== "linux" };
const ROOT = process.platform === "linux" ? needsRoot() : { skip: "Linux only" };
const REACH = { allowed: [], answerable: [], closed: [], dns: [] };
const SUBNET = "10.211.7.0/30";
const OTHER_SUBNET = "10.211.7.4/30";
/** How the helper names a VM of type host, which needs no forwarding. */
const vm = (tap: string) => ({ kind: "open", tap, nat: false, exposures: [], connections: 100, reach: REACH });

let lastTap = 2 ** 30;

interface Bench {
  readonly helper: Helper;
  /** The numbers of the TAPs that are there, by name. */
  readonly taps: Map<string, number>;
  /** What nft was to do, one command each. */
  readonly commands: string[];
  /** Whether the helper has nothing more to do. */
  isIdle(): boolean;
  connect(): Softnet;
}

class Softnet {
  readonly #end: End;
  #text = "";

  constructor(t: TestContext, helper: Helper) {
    const { fd, end } = pair(SOCK_STREAM);
    t.after(() => end.close());
    helper.add(new UnixStream(libc, fd));
    this.#end = end;
  }

  /** Says something, and returns the reply. */
  async ask(request: object): Promise<Readonly<Record<string, unknown>>> {
    assert.ok(this.send(request) > 0);
    return await until("a reply", () => this.#nextReply());
  }

  /** Says something and reads nothing. Returns how many bytes the kernel took, or minus the error's number. */
  send(request: object): number {
    return this.#end.send(Buffer.from(`${JSON.stringify(request)}\n`));
  }

  /** Whether the helper has ended the connection; reads all that waits. */
  isCutOff(): boolean {
    try {
      for (let bytes = this.#end.receive(); bytes !== undefined; bytes = this.#end.receive()) {
        if (bytes.length === 0) return true;
      }
      return false;
    } catch {
      return true;
    }
  }

  close(): void {
    this.#end.close();
  }

  #nextReply(): Readonly<Record<string, unknown>> | undefined {
    this.#text += this.#end.receive()?.toString() ?? "";
    for (let at = this.#text.indexOf("\n"); at >= 0; at = this.#text.indexOf("\n")) {
      const message = JSON.parse(this.#text.slice(0, at));
      this.#text = this.#text.slice(at + 1);
      if (message.kind === "reply") return message;
    }
    return undefined;
  }
}

/** A helper on a host whose TAPs, rules and connections are the test's. */
function bench(t: TestContext, more: Partial<HelperOptions> = {}): Bench {
  const taps = new Map<string, number>();
  t.after(() => taps.clear());
  const commands: string[] = [];
  let idle = false;
  const helper = new Helper({
    libc: { ...libc, if_nametoindex: (name: string) => taps.get(name) ?? 0 } as LinuxLibc,
    nft: {
      fd: -1,
      run: (some) => {
        commands.push(...some);
        return undefined;
      },
    },
    readRecord: () => undefined,
    isBridge: () => false,
    directory: "/nowhere",
    readFirewalls: () => Promise.reject(new Error("there are none")),
    deleteConnections: () => 0,
    ipv6: { readRecord: () => undefined, watch: () => {}, deleteConnections: () => 0 },
    onIdle: () => (idle = true),
    ...more,
  });
  return { helper, taps, commands, isIdle: () => idle, connect: () => new Softnet(t, helper) };
}

async function open({ connect, taps }: Bench, tap: string, subnet = SUBNET): Promise<Softnet> {
  const softnet = connect();
  assert.deepEqual(await softnet.ask({ kind: "reserve", chosen: subnet, avoid: [] }), { kind: "reply", subnet });
  taps.set(tap, ++lastTap);
  assert.deepEqual(await softnet.ask(vm(tap)), { kind: "reply" });
  return softnet;
}

const removals = (commands: readonly string[], tap: string): number =>
  commands.filter((command) => command.startsWith("delete element") && command.includes(` taps { "${tap}" }`)).length;

test(
  "H4 the helper ends only when the last of a VM's connections is deleted, however many they were",
  LINUX,
  async (t) => {
    let left = 65_536;
    const deleteConnections = (_address: number, most: number): number => {
      const some = Math.min(most, left);
      left -= some;
      return some;
    };
    const host = bench(t, { deleteConnections });
    const softnet = await open(host, "softnet0");
    host.taps.delete("softnet0");
    softnet.close();
    await until("the helper is idle", () => host.isIdle());
    assert.equal(left, 0);
  },
);

test("H4 a subnet is nobody else's while connections of its last VM are being deleted", LINUX, async (t) => {
  const during: number[] = [];
  const deleteConnections = (_address: number, most: number): number =>
    during.push(host.helper.members) < 3 ? most : 0;
  const host: Bench = bench(t, { deleteConnections });
  const first = await open(host, "softnet0");
  const second = host.connect();
  const reserve = () => second.ask({ kind: "reserve", chosen: SUBNET, avoid: [] });
  assert.match(String((await reserve()).error), /10\.211\.7\.0/);
  host.taps.delete("softnet0");
  first.close();
  await until("it is free", async () => (await reserve()).subnet);
  assert.deepEqual(during, [2, 2, 2], "the first one is a member still, and has its subnet");
});

test("the rules stand as long as the TAP is there, though its softnet has closed its connection", LINUX, async (t) => {
  const host = bench(t);
  const softnet = await open(host, "softnet0");
  const other = await open(host, "softnet1", OTHER_SUBNET);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  softnet.close();
  for (let second = 0; second < 60; second++) {
    for (let look = 0; look < 100; look++) t.mock.timers.tick(10);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(removals(host.commands, "softnet0"), 0);
  host.taps.delete("softnet0");
  t.mock.timers.tick(2_000);
  assert.equal(removals(host.commands, "softnet0"), 1);
  t.mock.timers.reset();
  other.close();
});

test(
  "a TAP that got the name of one just gone is a new VM's, before the old one's end is heard of, too",
  LINUX,
  async (t) => {
    const host = bench(t);
    const first = await open(host, "softnet0");
    host.taps.delete("softnet0");
    const second = await open(host, "softnet0", OTHER_SUBNET); // the kernel gave it the same name
    assert.equal(removals(host.commands, "softnet0"), 1);
    assert.match(String((await first.ask({ kind: "change", reach: REACH })).error), /no VM/);
    assert.match(String((await first.ask(vm("softnet9"))).error), /opened once/);
    first.close();
    assert.deepEqual(await second.ask({ kind: "change", reach: REACH }), { kind: "reply" });
    const third = host.connect();
    await third.ask({ kind: "reserve", avoid: [] });
    assert.match(String((await third.ask(vm("softnet0"))).error), /another VM's TAP/);
    assert.equal(removals(host.commands, "softnet0"), 1);
  },
);

test("a softnet that asks and does not read the replies is cut off: nothing grows in the helper", LINUX, async (t) => {
  const host = bench(t);
  const greedy = host.connect();
  const other = host.connect();
  let sent = 0;
  await until("it is cut off, or has sent 16 MiB", () => {
    for (let time = 0; time < 500; time++) {
      const taken = greedy.send({ kind: "start" });
      if (taken < 0) break;
      sent += taken;
    }
    return host.helper.members < 2 || sent > 2 ** 24;
  });
  assert.equal(host.helper.members, 1);
  assert.ok(greedy.isCutOff());
  assert.deepEqual(await other.ask({ kind: "start" }), { kind: "reply" });
});

test("a softnet that is attached to an interface opens no VM and exposes no port", ROOT, async (t) => {
  const directory = temporaryFolder(t);
  mkdirSync(join(directory, "attached"), { mode: 0o755 });
  const [index, token] = [2 ** 30 + 5, "01".repeat(32)];
  new AttachRecords(libc, directory).write({
    ...{ name: "vnet0", index, tag: 7, settings: {}, hooked: [], mac: "7e:1a:00:00:00:01" },
    ...{ openOnExit: false, owner: ownerOf(token), pid: 1 },
  });
  const host = bench(t, { directory });
  const attached = host.connect();
  assert.deepEqual(await attached.ask({ kind: "attach", index, token }), { kind: "reply" });
  const { error, subnet } = await attached.ask({ kind: "reserve", avoid: [] });
  assert.match(String(error), /attached/);
  assert.equal(subnet, undefined);
  const exposing = { ...vm("softnet7"), exposures: [[22, 22]] };
  assert.match(String((await attached.ask(exposing)).error), /behind its subnet/);
  assert.deepEqual(host.commands, []);

  const other = await open(host, "softnet0");
  assert.match(String((await other.ask({ kind: "attach", index, token })).error), /network of its own/);
});
