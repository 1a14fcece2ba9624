/** `--bootpd-lease-time` against the stand-in for SystemConfiguration, which refuses what Apple's does. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  kCFNumberSInt32Type,
  kCFStringEncodingUTF8,
  loadCoreFoundation,
} from "../../src/native/darwin/corefoundation.ts";
import { loadSystemConfiguration } from "../../src/native/darwin/systemconfiguration.ts";
import { setLeaseTime } from "../../src/networks/vmnet/lease-time.ts";
import { temporaryFolder } from "../support/folder.ts";
import { run } from "../support/tools.ts";
import { assertNothingHeld, inject, needsTwin, twin } from "../support/twin.ts";

const FILE = "com.apple.InternetSharing.default.plist";

/** Sets the lease time in a folder of the test's own, with this property list there before. */
function setUp(t: TestContext, before?: string): { file: string; set: (seconds: number) => Promise<void> } {
  const folder = temporaryFolder(t);
  const { control, libraries } = twin();
  control.preferencesFolder(folder);
  const file = join(folder, FILE);
  if (before !== undefined) writeFileSync(file, plist(before));
  const native = {
    coreFoundation: loadCoreFoundation(libraries.coreFoundation),
    systemConfiguration: loadSystemConfiguration(libraries.systemConfiguration),
  };
  t.after(() => assertNothingHeld());
  return { file, set: (seconds) => setLeaseTime(native, seconds) };
}

function plist(inside: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>${inside}</dict>
</plist>
`;
}

/** The file as Python's own plist reader understands it. */
function read(file: string): unknown {
  const program = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
  return JSON.parse(run("python3", "-c", program, file));
}

test("handles above 2^63, as Apple silicon's tagged pointers are, go through as they came", needsTwin(), async (t) => {
  const { libraries } = twin();
  const cf = loadCoreFoundation(libraries.coreFoundation);
  const [number, text] = [
    cf.CFNumberCreate(0, kCFNumberSInt32Type, Int32Array.of(600)),
    cf.CFStringCreateWithCString(0, "bootpd", kCFStringEncodingUTF8),
  ];
  for (const handle of [number, text]) assert.ok(BigInt(handle) >= 2n ** 63n, String(handle));
  const value = new Int32Array(1);
  assert.ok(
    cf.CFGetTypeID(number) === cf.CFNumberGetTypeID() && cf.CFNumberGetValue(number, kCFNumberSInt32Type, value),
  );
  assert.deepEqual([...value], [600]);
  for (const handle of [number, text]) cf.CFRelease(handle);
  // The way of a lease time: written as one, read back as one, and seen to be the same.
  const { set } = setUp(t);
  const { control } = twin();
  const before = control.count("commits");
  await set(600);
  await set(600);
  assert.equal(control.count("commits"), before + 1);
});

test("without a file there is one afterwards, and bootpd ignores client identifiers", needsTwin(), async (t) => {
  const { file, set } = setUp(t);
  await set(600);
  assert.deepEqual(read(file), { bootpd: { DHCPLeaseTimeSecs: 600, dhcp_ignore_client_identifier: true } });
});

test("other keys stay, in the file and in the dictionary", needsTwin(), async (t) => {
  const { file, set } = setUp(
    t,
    `<key>other</key><string>kept</string>
     <key>bootpd</key><dict>
       <key>detect_other_dhcp_server</key><true/>
       <key>DHCPLeaseTimeSecs</key><integer>86400</integer>
     </dict>`,
  );
  await set(1200);
  assert.deepEqual(read(file), {
    other: "kept",
    bootpd: { detect_other_dhcp_server: true, DHCPLeaseTimeSecs: 1200, dhcp_ignore_client_identifier: true },
  });
});

test("who has decided about client identifiers is not overruled", needsTwin(), async (t) => {
  const { file, set } = setUp(t, "<key>bootpd</key><dict><key>dhcp_ignore_client_identifier</key><false/></dict>");
  await set(600);
  assert.deepEqual(read(file), { bootpd: { dhcp_ignore_client_identifier: false, DHCPLeaseTimeSecs: 600 } });
});

test("what is no dictionary is replaced by one", needsTwin(), async (t) => {
  const { file, set } = setUp(t, "<key>bootpd</key><string>nonsense</string>");
  await set(600);
  assert.deepEqual(read(file), { bootpd: { DHCPLeaseTimeSecs: 600, dhcp_ignore_client_identifier: true } });
});

test("what is set already is not written again", needsTwin(), async (t) => {
  const { file, set } = setUp(t);
  await set(600);
  const commits = twin().control.count("commits");
  const before = readFileSync(file);
  await set(600);
  assert.equal(twin().control.count("commits"), commits);
  assert.deepEqual(readFileSync(file), before);
});

test("a commit that somebody else's overtook is done once more, on what he wrote", needsTwin(), async (t) => {
  const { file, set } = setUp(t);
  const locks = twin().control.count("locks");
  twin().control.inject("stale", 1);
  await set(600);
  assert.equal(twin().control.count("locks") - locks, 2);
  const { bootpd } = read(file) as { bootpd: Record<string, unknown> };
  assert.equal(bootpd.DHCPLeaseTimeSecs, 600);
});

test("stale twice is an error in words", needsTwin(), async (t) => {
  const { set } = setUp(t);
  twin().control.inject("stale", 2);
  await assert.rejects(set(600), /not committed: other programs change its preferences/);
});

test("a lock that is held for a while is waited for, and the event loop turns", needsTwin(), async (t) => {
  const { file, set } = setUp(t);
  twin().control.inject("lock busy", 3);
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await set(600);
  clearInterval(timer);
  assert.ok(turns > 3 && existsSync(file));
});

test("an ordinary user gets an error in words", needsTwin(), async (t) => {
  const { file, set } = setUp(t);
  inject(t, "not root", 1);
  await assert.rejects(set(600), /only root may change it \(1003\)/);
  assert.ok(!existsSync(file));
});

test("any other failure has its number", needsTwin(), async (t) => {
  const { set } = setUp(t);
  inject(t, "commit status", 1001);
  await assert.rejects(set(600), /not committed: SystemConfiguration's error 1001/);
});
