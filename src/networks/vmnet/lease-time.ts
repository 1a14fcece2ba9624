/**
 * `--bootpd-lease-time`: how long macOS' own DHCP server (bootpd) lends an address. Its pool has some 250 addresses for all
 * VMs of the host, and an address of a VM that is gone comes back only when its lease is over: a day by default, too long
 * for whoever starts VMs by the hundred.
 *
 * The setting is in a preference file of Internet Sharing's, in the dictionary `bootpd`, for networks that start
 * afterwards. It stays after softnet's end. Other keys of that dictionary are somebody else's and are kept:
 *
 *   open → lock → read → merge → write → commit → unlock
 *
 * The lock comes before the first look: what was read earlier is stale when another softnet commits meanwhile, and the
 * commit is refused. Then everything is done once more.
 *
 * The same commit tells bootpd to ignore client identifiers, unless somebody has decided that already: it then knows a VM
 * by its MAC address, as `tart ip` does, and not by an identifier that the guest makes up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CoreFoundation,
  type Handle,
  kCFNumberSInt32Type,
  kCFStringEncodingUTF8,
} from "../../native/darwin/corefoundation.ts";
import {
  kSCStatusAccessError,
  kSCStatusPrefsBusy,
  kSCStatusStale,
  type SystemConfiguration,
} from "../../native/darwin/systemconfiguration.ts";

const FILE = "com.apple.InternetSharing.default.plist";
const DICTIONARY = "bootpd";
const LEASE_TIME = "DHCPLeaseTimeSecs";
const IGNORE_IDENTIFIER = "dhcp_ignore_client_identifier";

/** Tries to get the lock, and milliseconds between two: whoever has it holds it for a moment only. */
const LOCK_TRIES = 50;
const LOCK_INTERVAL = 100;

export interface LeaseTimeNative {
  readonly coreFoundation: CoreFoundation;
  readonly systemConfiguration: SystemConfiguration;
}

/** A failed call, with SystemConfiguration's reason. */
class PreferencesError extends Error {
  readonly status: number;
  constructor(what: string, status: number) {
    super(`${what}: ${describe(status)}`);
    this.status = status;
  }
}

/** Sets the lease time in seconds. Throws Error with why it could not. The VM's network does not depend on it. */
export async function setLeaseTime(native: LeaseTimeNative, seconds: number): Promise<void> {
  try {
    await merge(native, seconds);
  } catch (error) {
    if (!(error instanceof PreferencesError) || error.status !== kSCStatusStale) throw error;
    await merge(native, seconds);
  }
}

async function merge(native: LeaseTimeNative, seconds: number): Promise<void> {
  const { coreFoundation: cf, systemConfiguration: sc } = native;
  const held = new Held(cf);
  try {
    const name = held.string("softnet");
    const preferences = held.take("SCPreferencesCreate", sc.SCPreferencesCreate(0, name, held.string(FILE)), sc);
    await lock(sc, preferences);
    try {
      write(native, held, preferences, seconds);
    } finally {
      sc.SCPreferencesUnlock(preferences);
    }
  } finally {
    held.release();
  }
}

async function lock(sc: SystemConfiguration, preferences: Handle): Promise<void> {
  for (let tries = 1; !sc.SCPreferencesLock(preferences, false); tries++) {
    const status = sc.SCError();
    if (status !== kSCStatusPrefsBusy || tries === LOCK_TRIES) throw new PreferencesError("no lock", status);
    await sleep(LOCK_INTERVAL);
  }
}

function write(
  { coreFoundation: cf, systemConfiguration: sc }: LeaseTimeNative,
  held: Held,
  preferences: Handle,
  seconds: number,
): void {
  const key = held.string(DICTIONARY);
  const before = sc.SCPreferencesGetValue(preferences, key);
  const isDictionary = before !== 0 && cf.CFGetTypeID(before) === cf.CFDictionaryGetTypeID();
  const leaseTime = held.string(LEASE_TIME);
  const ignore = held.string(IGNORE_IDENTIFIER);
  if (isDictionary) {
    const isSet = numberOf(cf, cf.CFDictionaryGetValue(before, leaseTime)) === seconds;
    if (isSet && cf.CFDictionaryGetValue(before, ignore) !== 0) return; // nothing to write
  }
  const after = held.take(
    "a dictionary",
    isDictionary
      ? cf.CFDictionaryCreateMutableCopy(0, 0, before)
      : cf.CFDictionaryCreateMutable(0, 0, cf.kCFTypeDictionaryKeyCallBacks, cf.kCFTypeDictionaryValueCallBacks),
    sc,
  );
  cf.CFDictionarySetValue(after, leaseTime, held.number(seconds));
  if (cf.CFDictionaryGetValue(after, ignore) === 0) cf.CFDictionarySetValue(after, ignore, cf.kCFBooleanTrue);
  if (!sc.SCPreferencesSetValue(preferences, key, after)) throw new PreferencesError("not written", sc.SCError());
  if (!sc.SCPreferencesCommitChanges(preferences)) throw new PreferencesError("not committed", sc.SCError());
}

/** A CFNumber's value, undefined for anything else. */
function numberOf(cf: CoreFoundation, object: Handle): number | undefined {
  if (object === 0 || cf.CFGetTypeID(object) !== cf.CFNumberGetTypeID()) return undefined;
  const value = new Int32Array(1);
  return cf.CFNumberGetValue(object, kCFNumberSInt32Type, value) ? value[0] : undefined;
}

/** CoreFoundation's objects that are ours, released together. */
class Held {
  readonly #cf: CoreFoundation;
  readonly #objects: Handle[] = [];

  constructor(cf: CoreFoundation) {
    this.#cf = cf;
  }

  take(what: string, object: Handle, sc: SystemConfiguration): Handle {
    if (object === 0) throw new PreferencesError(`${what} fails`, sc.SCError());
    this.#objects.push(object);
    return object;
  }

  string(text: string): Handle {
    return this.#own(this.#cf.CFStringCreateWithCString(0, text, kCFStringEncodingUTF8));
  }

  number(value: number): Handle {
    return this.#own(this.#cf.CFNumberCreate(0, kCFNumberSInt32Type, Int32Array.of(value)));
  }

  release(): void {
    for (const object of this.#objects.reverse()) this.#cf.CFRelease(object);
  }

  #own(object: Handle): Handle {
    if (object === 0) throw new Error("CoreFoundation has no memory");
    this.#objects.push(object);
    return object;
  }
}

/** SystemConfiguration/SystemConfiguration.h */
function describe(status: number): string {
  if (status === kSCStatusAccessError) return `only root may change it (${status})`;
  if (status === kSCStatusPrefsBusy) return `another program keeps its preferences locked (${status})`;
  if (status === kSCStatusStale) return `other programs change its preferences all the time (${status})`;
  return `SystemConfiguration's error ${status}`;
}
