/** The demo's part behind NAT: what it needs, and that an interruption at any moment of it leaves nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cleanup } from "../../src/demo/cleanup.ts";
import { whyNoNat } from "../../src/demo/nat-requirements.ts";
import { playPart } from "../../src/demo/part.ts";
import { Screen } from "../../src/demo/screen.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT, until } from "../support/patience.ts";
import { needs, needsTun } from "../support/tools.ts";
import { inhabitants, maskedCommand } from "./support.ts";

const NEEDS = { ...needs("ip", "nft", "unshare"), ...needsTun(), ...LIMIT };

/** What the demo says where this file lies over that program. */
function whyNotWith(program: string, file: string): string {
  const requirements = new URL("../../src/demo/nat-requirements.ts", import.meta.url);
  const ask = `import { whyNoNat } from ${JSON.stringify(requirements.href)}; process.stdout.write(String(whyNoNat()));`;
  const command = maskedCommand(program, file, [process.execPath, "--input-type=module", "-e", ask]);
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("nothing is missing where all is there", NEEDS, () => {
  assert.equal(whyNoNat(), undefined);
});

test("without nft it names that", NEEDS, () => {
  const words = "nft is not installed; install it, on Debian with: apt-get install nftables";
  assert.equal(whyNotWith("nft", "/dev/null"), words);
});

test("a kernel without nftables, or a broken nft, is told in one line with nft's words", NEEDS, (t) => {
  const nft = join(temporaryFolder(t), "nft");
  writeFileSync(
    nft,
    '#!/bin/sh\necho "Error: Could not process rule: Operation not supported\nadd chain" >&2\nexit 1\n',
  );
  chmodSync(nft, 0o755);
  assert.match(
    whyNotWith("nft", nft),
    /^nft does not work here \(Error: .* not supported\); .*: apt-get install nftables$/,
  );
});

for (const milliseconds of [100, 700, 1_100, 1_500, 2_500]) {
  test(`interrupted after ${milliseconds} ms nothing of it runs on`, NEEDS, async () => {
    const cleanup = new Cleanup();
    const screen = new Screen(new PassThrough().resume() as unknown as NodeJS.WriteStream);
    const play = playPart("nat", screen, cleanup);
    const ended = assert.rejects(play);
    await sleep(milliseconds);
    const alive = inhabitants(process.pid);
    await cleanup.run();
    await ended;
    // With which error the play ended is chance: the next check's, or that of an agent which was ended meanwhile.
    // The host's helper ends behind the softnets that it served.
    const runsOn = (): readonly string[] => [
      ...inhabitants(process.pid),
      ...alive.filter((pid) => existsSync(`/proc/${pid}`)),
    ];
    await until("nothing runs on", () => runsOn().length === 0);
  });
}
