/** The stand-ins for CoreFoundation and SystemConfiguration: lock, merge, commit, and how each of them fails. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import koffi from "koffi";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";
import { type Apple, apple } from "./apple.ts";
import { needsTwin } from "./build.ts";

const UTF8 = 0x08000100;
const SINT32 = 3;
const [ACCESS_ERROR, FAILED, LOCKED, BUSY, STALE] = [1003, 1001, 1006, 3002, 3005];
const FILE = "com.example.plist";
const BEFORE = `<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0">
<dict>
	<key>bootpd</key>
	<dict>
		<key>DHCPLeaseTimeSecs</key>
		<integer>86400</integer>
		<key>other &amp; kept</key>
		<array><true/><string>x &lt; y</string></array>
	</dict>
</dict>
</plist>
`;

function preferences({ cf, sc, control }: Apple, folder: string) {
  control.preferencesFolder(folder);
  const call = {
    release: cf.func("void CFRelease(void *object)"),
    string: cf.func("void *CFStringCreateWithCString(void *allocator, const char *text, uint32_t encoding)"),
    number: cf.func("void *CFNumberCreate(void *allocator, long type, const void *value)"),
    copy: cf.func("void *CFDictionaryCreateMutableCopy(void *allocator, long capacity, void *dictionary)"),
    set: cf.func("void CFDictionarySetValue(void *dictionary, void *key, void *value)"),
    get: cf.func("void *CFDictionaryGetValue(void *dictionary, void *key)"),
    typeOf: cf.func("unsigned long CFGetTypeID(void *object)"),
    dictionaryType: cf.func("unsigned long CFDictionaryGetTypeID()"),
    create: sc.func("void *SCPreferencesCreate(void *allocator, void *name, void *file)"),
    lock: sc.func("uint8_t SCPreferencesLock(void *session, uint8_t wait)"),
    unlock: sc.func("uint8_t SCPreferencesUnlock(void *session)"),
    getValue: sc.func("void *SCPreferencesGetValue(void *session, void *key)"),
    setValue: sc.func("uint8_t SCPreferencesSetValue(void *session, void *key, void *value)"),
    commit: sc.func("uint8_t SCPreferencesCommitChanges(void *session)"),
    synchronize: sc.func("void SCPreferencesSynchronize(void *session)"),
    error: sc.func("int SCError()"),
  };
  /** Runs with a string that is released afterwards. */
  const withString = <T>(text: string, run: (string: bigint) => T): T => {
    const string = call.string(null, text, UTF8);
    const result = run(string);
    call.release(string);
    return result;
  };
  const session = (): bigint =>
    withString("softnet", (name) => withString(FILE, (file) => call.create(null, name, file)));
  /** Sets one number in the dictionary "bootpd", all else kept. */
  const setLease = (given: bigint, seconds: number): void =>
    withString("bootpd", (bootpd) =>
      withString("DHCPLeaseTimeSecs", (key) => {
        const old = call.getValue(given, bootpd);
        ok(old !== null && call.typeOf(old) === call.dictionaryType());
        const fresh = call.copy(null, 0, old);
        const number = call.number(null, SINT32, new Int32Array([seconds]));
        call.set(fresh, key, number);
        equal(call.setValue(given, bootpd, fresh), 1);
        call.release(number);
        call.release(fresh);
      }),
    );
  return { call, session, setLease, path: join(folder, FILE) };
}

function prepared(context: TestContext) {
  const twin = apple();
  twin.calls.releaseDispatch(twin.queue); // not needed here, and it would count as a leak
  const folder = temporaryFolder(context);
  const all = preferences(twin, folder);
  writeFileSync(all.path, BEFORE);
  return { ...all, control: twin.control };
}

const options = { ...needsRoot(), ...needsTwin() };

test("a locked commit keeps the keys of others, the owner and the mode", options, (context) => {
  const { call, session, setLease, path, control } = prepared(context);
  chmodSync(path, 0o640);
  const given = session();
  equal(call.lock(given, 1), 1);
  setLease(given, 600);
  equal(call.commit(given), 1);
  equal(call.unlock(given), 1);
  call.release(given);
  const text = readFileSync(path, "utf8");
  match(text, /<key>DHCPLeaseTimeSecs<\/key>\s*<integer>600<\/integer>/);
  match(text, /<key>other &amp; kept<\/key>\s*<array>\s*<true\/>\s*<string>x &lt; y<\/string>/);
  equal(statSync(path).mode & 0o777, 0o640);
  equal(existsSync(`${path}-new`), false);
  equal(control.reportLeaks(), 0);
  equal(control.count("commits"), 1);
});

test("a commit on a file that somebody else changed is stale and changes nothing", options, (context) => {
  const { call, session, setLease, path, control } = prepared(context);
  const given = session();
  equal(call.lock(given, 1), 1);
  setLease(given, 600);
  control.inject("stale", 1);
  deepEqual([call.commit(given), call.error()], [0, STALE]);
  match(readFileSync(path, "utf8"), /<integer>86400<\/integer>/);
  equal(call.unlock(given), 1);
  // The retry: read again, once.
  call.synchronize(given);
  equal(call.lock(given, 1), 1);
  setLease(given, 600);
  equal(call.commit(given), 1);
  call.unlock(given);
  call.release(given);
  match(readFileSync(path, "utf8"), /<integer>600<\/integer>/);
});

test("who looked before locking finds the lock stale after a change", options, (context) => {
  const { call, session, path } = prepared(context);
  const given = session();
  const key = call.string(null, "bootpd", UTF8);
  ok(call.getValue(given, key) !== null);
  writeFileSync(path, `${BEFORE}\n`);
  deepEqual([call.lock(given, 1), call.error()], [0, STALE]);
  call.release(key);
  call.release(given);
});

test("a lock excludes another session, and may be busy, refused or late", options, (context) => {
  const { call, session, control } = prepared(context);
  const [one, other] = [session(), session()];
  equal(call.lock(one, 0), 1);
  deepEqual([call.lock(one, 0), call.error()], [0, LOCKED]);
  deepEqual([call.lock(other, 0), call.error()], [0, BUSY]);
  equal(call.unlock(one), 1);
  equal(call.lock(other, 0), 1);
  call.unlock(other);
  control.inject("lock busy", 1);
  deepEqual([call.lock(one, 1), call.error()], [0, BUSY]);
  control.inject("not root", 1);
  deepEqual([call.lock(one, 1), call.error()], [0, ACCESS_ERROR]);
  control.inject("not root", 0);
  control.inject("lock delay", 30);
  const since = performance.now();
  equal(call.lock(one, 1), 1);
  ok(performance.now() - since >= 29);
  control.inject("lock delay", 0);
  call.unlock(one);
  call.release(one);
  call.release(other);
});

test("a commit fails with the code a test orders", options, (context) => {
  const { call, session, setLease, path, control } = prepared(context);
  const given = session();
  equal(call.lock(given, 1), 1);
  setLease(given, 600);
  control.inject("commit status", FAILED);
  deepEqual([call.commit(given), call.error()], [0, FAILED]);
  control.inject("commit status", 0);
  call.unlock(given);
  call.release(given);
  equal(readFileSync(path, "utf8"), BEFORE);
});

test("numbers, strings and dictionaries keep what they were given", needsTwin(), () => {
  const { cf } = apple();
  const number = cf.func("void *CFNumberCreate(void *, long, const void *)")(null, SINT32, new Int32Array([-5]));
  const value = new BigInt64Array(1);
  equal(cf.func("uint8_t CFNumberGetValue(void *, long, void *)")(number, 4, value), 1);
  equal(value[0], -5n);
  const string = cf.func("void *CFStringCreateWithCString(void *, const char *, uint32_t)");
  equal(string(null, "x", 0x999), null); // an encoding that nobody has
  const [key, other] = [string(null, "key", UTF8), string(null, "key", UTF8)];
  const create = cf.func("void *CFDictionaryCreate(void *, void *, void *, long, void *, void *)");
  const callbacks = ["kCFTypeDictionaryKeyCallBacks", "kCFTypeDictionaryValueCallBacks"].map((name) => cf.symbol(name));
  const [keys, values] = [new BigUint64Array([key]), new BigUint64Array([number])];
  const dictionary = create(null, keys, values, 1, ...callbacks);
  equal(cf.func("long CFGetRetainCount(void *)")(number), 2);
  equal(cf.func("void *CFDictionaryGetValue(void *, void *)")(dictionary, other), number); // keys are equal by value
  const release = cf.func("void CFRelease(void *)");
  for (const object of [dictionary, key, other]) release(object);
  equal(cf.func("long CFGetRetainCount(void *)")(number), 1);
  release(number);
  equal(koffi.decode(cf.symbol("kCFBooleanTrue"), "void *") !== null, true);
});
