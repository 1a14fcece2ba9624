/**
 * softnet as on a Mac, with stand-ins for Apple's libraries: the command `run` with macOS' part of it (platform/darwin.ts),
 * handed the stand-ins' paths. Accounts come from Linux' C library, since those are the machine's.
 *
 * softnet-on-twin.ts {"tap": …, "macos": …, "release": …, "folder": …, "inject": {…}} ARGUMENT…
 *
 *   tap      name of the TAP in this network namespace that vmnet's interface becomes
 *   macos    which macOS' vmnet there is (11, 14, 15, 26)
 *   release  what the kernel calls itself
 *   folder   where preferences lie; the port forwarding rules in force are written there, and at the end what syslog
 *            was told
 */
import { ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import koffi from "koffi";
import { addGuardOptions } from "../../../src/commands/guard-options.ts";
import { darwinPlatform } from "../../../src/commands/platform/darwin.ts";
import type { Platform } from "../../../src/commands/platform/platform.ts";
import { run } from "../../../src/commands/run.ts";
import { addRunOptions, type RunArguments } from "../../../src/commands/run-options.ts";
import { loadDarwinLibc } from "../../../src/native/darwin/libc.ts";
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { DarwinPrivileges } from "../../../src/privileges/darwin.ts";
import { linuxRegistry } from "../../../src/registry/linux.ts";
import { UserError } from "../../../src/user-error.ts";
import { type MacOS, twinControl, twinLibraries } from "../../twin/build.ts";

export interface TwinSettings {
  readonly tap?: string;
  readonly macos?: MacOS;
  readonly release?: string;
  readonly folder: string;
  readonly inject?: Readonly<Record<string, number>>;
}

const [settings, ...args] = process.argv.slice(2);
const { tap, macos = 26, release = "25.0.0", folder, inject = {} } = JSON.parse(settings!) as TwinSettings;

const libraries = twinLibraries({ macos });
koffi.load(libraries.system); // the others are linked with these two by names that they have once they are loaded
koffi.load(libraries.coreFoundation);
const control = twinControl(libraries);
control.preferencesFolder(folder);
if (tap !== undefined) control.attachTap(tap);
for (const [what, value] of Object.entries(inject)) control.inject(what, value);
control.inject("check leaks at exit", 1);

function host(): Platform {
  const { getpwnam, getpwuid, getgrnam, getgrgid, getgrouplist } = loadLibc();
  const libc = { ...loadDarwinLibc(libraries.system), getpwnam, getpwuid, getgrnam, getgrgid, getgrouplist };
  return {
    ...darwinPlatform({ libraries, release }),
    registry: { ...linuxRegistry(loadLibc()), directory: join(folder, "registry") },
    privileges: (given) => new DarwinPrivileges(libc, given),
  };
}

/** Which port forwarding rules are in force, for the test to read. Made now: softnet becomes another user. */
const rules = openSync(join(folder, "rules"), "w");
const telling = setInterval(() => {
  const text = JSON.stringify(control.describe("rules"));
  ftruncateSync(rules);
  writeSync(rules, text, 0);
}, 100);
telling.unref();

const softnet = addRunOptions(addGuardOptions(new Command())).action(async (given: RunArguments) => {
  try {
    process.exitCode = await run(given, host);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`softnet: ${error.message}\n`);
    process.exitCode = 1;
  }
  try {
    writeFileSync(join(folder, "syslog"), control.syslogText());
  } catch {
    // The folder is not for the user that softnet has become: no test asks then.
  }
});
await softnet.parseAsync(args, { from: "user" });
