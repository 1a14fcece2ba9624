/** An attached softnet whose memory runs out under load, so that the kernel ends it: nothing passes unjudged, then nothing. */
import assert from "node:assert/strict";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest, CARDS, masterOf } from "./harness/attached.ts";
import { MemoryGroup, needsMemoryGroups } from "./harness/memory.ts";
import { sleep } from "./harness/program.ts";
import { BRIDGE, BRIDGE_MAC, GATEWAY, Lab, labNeeds, tool } from "./harness/topology.ts";

const ADDRESS = "10.77.0.21";
const VICTIM = "10.77.0.22";
const PYTHON = "/usr/bin/python3";
/** Bytes: a few pages, for what a running softnet needs next. */
const TOO_LITTLE = 64 << 10;

for (const card of CARDS) {
  test(`${card}: memory is exhausted under a flood: the kernel ends softnet, no forged frame passed, the interface is closed`, {
    ...labNeeds(),
    ...needsMemoryGroups(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS, card, ["--open-on-exit"]);
    const seen = await lab.watch(lab.host, BRIDGE);
    assert.ok(await guest.ping(GATEWAY));
    await seen.until("the guest's own frames", ({ source, ip }) => source === guest.mac && ip?.source === ADDRESS);
    const flood = [tool("flood.py"), guest.link, "2000", GATEWAY, VICTIM, "1.1.1.1", BRIDGE_MAC];
    await guest.start(PYTHON, flood).line(/^sent /);
    const group = new MemoryGroup(t, TOO_LITTLE);
    const { program } = guest.softnet!;
    group.put(program.pid);
    const exit = await program.ended();
    assert.deepEqual(exit, { code: null, signal: "SIGKILL" });
    assert.ok(group.killed >= 1, "it was not the kernel that ended it");
    const passed = seen.frames.length;
    await sleep(1_000);
    assert.equal(await guest.ping(GATEWAY, 1), false);
    assert.equal(masterOf(lab.host, guest.port), undefined);
    assert.equal(
      seen.frames.slice(passed).filter(({ source }) => source === guest.mac).length,
      0,
      "something passed after its end",
    );
    assert.equal(
      seen.count(
        ({ source, ip, arp }) =>
          source === guest.mac && (ip?.source === VICTIM || (arp !== undefined && arp.sender !== ADDRESS)),
      ),
      0,
      "forged frames passed",
    );
  });
}
