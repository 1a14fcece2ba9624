/** The lease time: written as softnet does, looked at with Apple's own program, and put back. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type LeaseTimeNative, setLeaseTime } from "../../src/networks/vmnet/lease-time.ts";
import { failed, ok, type Point } from "./points.ts";

const FILE = "/Library/Preferences/SystemConfiguration/com.apple.InternetSharing.default.plist";
export const SECONDS = 611; // nobody's choice

export function leaseTimePoints(native: () => LeaseTimeNative): Point[] {
  return [{ name: "lease time: it is written, and its neighbours are kept", run: () => change(native()) }];
}

async function change(native: LeaseTimeNative) {
  const restore = remember();
  try {
    const before = keysOf(read());
    await setLeaseTime(native, SECONDS);
    const after = read();
    const details = JSON.stringify(after.bootpd);
    const lost = before.filter((key) => !keysOf(after).includes(key));
    if (lost.length > 0) return failed(`lost ${lost.join(", ")}: ${details}`);
    return after.bootpd?.DHCPLeaseTimeSecs === SECONDS ? ok(details) : failed(details);
  } finally {
    restore();
  }
}

interface Preferences {
  readonly bootpd?: Readonly<Record<string, unknown>>;
}

function read(): Preferences {
  const { status, stdout } = spawnSync("/usr/bin/plutil", ["-convert", "json", "-o", "-", FILE], { encoding: "utf8" });
  return status === 0 ? JSON.parse(stdout) : {};
}

function keysOf(preferences: Preferences): string[] {
  return [...Object.keys(preferences), ...Object.keys(preferences.bootpd ?? {}).map((key) => `bootpd.${key}`)];
}

/** Answers how to make it as it is now. */
export function remember(): () => void {
  const hadLock = existsSync(`${FILE}-lock`);
  const before = existsSync(FILE) ? { bytes: readFileSync(FILE), stats: statSync(FILE) } : undefined;
  return () => {
    if (!hadLock) rmSync(`${FILE}-lock`, { force: true });
    if (before === undefined) {
      rmSync(FILE, { force: true });
      return;
    }
    writeFileSync(FILE, before.bytes);
    chownSync(FILE, before.stats.uid, before.stats.gid);
    chmodSync(FILE, before.stats.mode & 0o7777);
  };
}
