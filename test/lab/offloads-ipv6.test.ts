/**
 * Large frames and partial checksums of IPv6 between two TAPs (`--ipv6`): with offloads and without, on a bridge and on a
 * network of the VM's own, cut for who cannot take them, and captured as what they are.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { setFeatures } from "./harness/features.ts";
import type { Guest } from "./harness/guest.ts";
import { dnsmasq6, INTERNET6, ORDINARY6, online, openLab6, serve6 } from "./harness/ipv6.ts";
import { LONGEST, largeFrames, transfer } from "./harness/large-frames.ts";
import { natGuest, tapOf } from "./harness/nat.ts";
import { scene } from "./harness/nat6.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { type Lab, labNeeds, tool } from "./harness/topology.ts";

const PYTHON = "/usr/bin/python3";
const MEGABYTE = 1 << 20;
const SERVER = `[${INTERNET6}]`;
const OFFLOADS = [
  { how: "with offloads", args: [], large: true },
  { how: "without offloads", args: ["--no-offloads"], large: false },
] as const;

type Open = (t: TestContext, ...args: string[]) => Promise<{ readonly lab: Lab; readonly guest: Guest }>;

const SCENES: Readonly<Record<string, Open>> = {
  async bridge(t, ...args) {
    const lab = openLab6(t);
    await dnsmasq6(lab);
    return { lab, guest: await lab.guest({ bare: false, args: ["--ipv6", ...args] }) };
  },
  async nat(t, ...args) {
    const { lab } = await scene(t);
    return { lab, guest: await natGuest(lab, ["--ipv6", ...args]) };
  },
};

const NEEDS = { ...labNeeds("dnsmasq", "nft"), ...LIMIT };

/** A guest with addresses, a server behind its router, and the file that softnet captures to. */
async function setUp(open: Open, t: TestContext, ...args: string[]) {
  const capture = join(temporaryFolder(t), "all.pcapng");
  const { lab, guest } = await open(t, "--capture", capture, ...args);
  await serve6(lab);
  await online(guest.namespace, guest.link);
  return { lab, guest, capture };
}

suite("offloads of IPv6", { concurrency: 1 }, () => {
  for (const [kind, open] of Object.entries(SCENES)) {
    for (const { how, args, large } of OFFLOADS) {
      test(`${kind}, ${how}: transfers both ways, in large frames where there are offloads`, NEEDS, async (t) => {
        const { guest, capture } = await setUp(open, t, ...args);
        await transfer(guest, 8 * MEGABYTE, SERVER);
        const summary = await guest.stop();
        assertInnocent(summary, ...ORDINARY6);
        const { egress, ingress } = largeFrames(capture, "IPv6");
        t.diagnostic(`large frames: ${egress} from the VM, ${ingress} to it`);
        if (large) assert.ok(egress > 100 && ingress > 20, `large frames: ${egress} from the VM, ${ingress} to it`);
        else assert.deepEqual({ egress, ingress }, { egress: 0, ingress: 0 });
      });
    }

    test(
      `${kind}: a machine whose link takes no large frames gets them cut, each with its checksum`,
      NEEDS,
      async (t) => {
        const { lab, guest, capture } = await setUp(open, t);
        await setFeatures(lab.host, "up0", { tx: false, tso: false, gso: false });
        await setFeatures(lab.internet, "up0", { gro: false, tso: false, gso: false });
        const watch = await lab.watch(lab.internet, "up0");
        await transfer(guest, 2 * MEGABYTE, SERVER);
        const ofTcp = watch.frames.filter(({ ip6, sent }) => ip6?.protocol === 6 && !sent);
        assert.ok(ofTcp.length > MEGABYTE / LONGEST, `${ofTcp.length} frames`);
        assert.ok(ofTcp.every(({ length }) => length <= LONGEST));
        assertInnocent(await guest.stop(), ...ORDINARY6);
        assert.ok(largeFrames(capture, "IPv6").egress > 20, "the guest's own were large");
      },
    );

    test(`${kind}: a guest or a TAP with its offloads turned off takes part all the same`, NEEDS, async (t) => {
      const { lab, guest } = await setUp(open, t);
      const off = { tx: false, tso: false, gso: false, gro: false };
      await setFeatures(guest.namespace, guest.link, off);
      await transfer(guest, MEGABYTE, SERVER);
      await setFeatures(lab.host, tapOf(guest), off);
      await transfer(guest, MEGABYTE, SERVER);
      await setFeatures(guest.namespace, guest.link, { tx: true, tso: true, gso: true, gro: true });
      await transfer(guest, MEGABYTE, SERVER);
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  test(
    "UDP that a guest sends by IPv6 in segments is one frame, and arrives as datagrams in order",
    NEEDS,
    async (t) => {
      const { lab, guest, capture } = await setUp(SCENES.nat!, t);
      const segments = (...words: string[]) => [tool("segments.py"), ...words];
      const counter = lab.start(lab.internet, PYTHON, segments("count", INTERNET6, "7000"));
      await counter.line(/^ready$/);
      const { code, stderr } = await guest.namespace.run(PYTHON, segments("send", INTERNET6, "7000", "1200", "40"));
      assert.equal(code, 0, stderr);
      await counter.line(/^got 1200 0027$/);
      const expected = Array.from({ length: 40 }, (_, index) => `got 1200 ${index.toString(16).padStart(4, "0")}`);
      assert.deepEqual(
        counter.stdout.filter((line) => line.startsWith("got")),
        expected,
      );
      assertInnocent(await guest.stop(), ...ORDINARY6);
      // One frame, where the kernel leaves this to us (Linux 6.2 and later), else forty.
      const frames = [...openCapture(capture)].filter(({ bytes }) => bytes.length > 1200);
      assert.ok(frames.length === 40 || (frames.length === 1 && frames[0]!.comment === "offload UDP6 1200"));
      t.diagnostic(`${frames.length} frames`);
    },
  );
});
