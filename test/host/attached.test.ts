/** What the helper does for a softnet that a guest has taken over: nothing but what root's record of its interface allows. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ownerOf } from "../../src/attach/attachment.ts";
import { type AttachRecord, AttachRecords } from "../../src/attach/record.ts";
import { AttachedInterface } from "../../src/host/attached.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const ROOT = process.platform === "linux" ? needsRoot() : { skip: "Linux only" };
/** No interface of this machine has these numbers. */
const [OWN, OTHERS] = [2 ** 30 + 5, 2 ** 30 + 6];
const [TOKEN, OTHER_TOKEN] = ["01".repeat(32), "02".repeat(32)];

function record(index: number, token: string, openOnExit: boolean): AttachRecord {
  return {
    name: "vnet0",
    index,
    tag: 7,
    settings: {},
    hooked: [{ kind: "tcx", ingress: 1, egress: 2 }],
    mac: "7e:1a:00:00:00:01",
    openOnExit,
    owner: ownerOf(token),
    pid: 1,
  };
}

function host(t: Parameters<typeof temporaryFolder>[0], openOnExit = false) {
  const directory = temporaryFolder(t);
  mkdirSync(join(directory, "attached"), { mode: 0o755 });
  const libc = loadLibc();
  const records = new AttachRecords(libc, directory);
  records.write(record(OWN, TOKEN, openOnExit));
  records.write(record(OTHERS, OTHER_TOKEN, openOnExit));
  return { libc, directory };
}

test("only the softnet whose secret root's record has, gets the interface", ROOT, (t) => {
  const options = host(t);
  const attach = (index: number, token: string) => new AttachedInterface(options, { kind: "attach", index, token });
  assert.throws(() => attach(OTHERS, TOKEN), /not softnet's interface/);
  assert.throws(() => attach(OWN + 9, TOKEN), /not softnet's interface/);
  attach(OWN, TOKEN);
});

test("once the VM's frames pass, it is put back only where the record says so", ROOT, (t) => {
  for (const openOnExit of [false, true]) {
    const options = host(t, openOnExit);
    const own = new AttachedInterface(options, { kind: "attach", index: OWN, token: TOKEN });
    own.serve("detach"); // before, it is; an interface that is gone needs nothing
    own.serve("start");
    if (openOnExit) own.serve("detach");
    else assert.throws(() => own.serve("detach"), /is to stay closed/);
  }
});
