/**
 * The signer of executables for macOS against Apple's own signatures: those of Node's official runtimes, made by Apple's
 * codesign, and of koffi's library, made by Apple's linker. With the same parameters the same bytes must come out.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeDirectory } from "../../scripts/macho/code-directory.ts";
import { entitlementKeys, entitlementsDer } from "../../scripts/macho/entitlements.ts";
import { type SignOptions, signAdHoc } from "../../scripts/macho/sign.ts";
import { koffiFor, runtimeFor } from "../../scripts/package-runtimes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { blobOf, type CodeSignature, readCodeSignature } from "./code-signature.ts";

/** Runtimes of 50 MB are fetched when they were not before. */
const BLOB_HEADER = 8;
const ENTITLEMENTS = readFileSync(new URL("../../packaging/softnet.entitlements", import.meta.url));

/** The CodeDirectory that our signer makes with the parameters of a signature. */
function regenerated(file: Buffer, signature: CodeSignature): Buffer {
  const { identifier, team, runtime, flags, executable, specialSlots, codeLimit, blobs } = signature;
  const hashed = Object.keys(blobs).map(Number);
  return codeDirectory({
    code: file.subarray(0, codeLimit),
    identifier,
    flags,
    executable,
    specialSlots,
    special: new Map(
      hashed.filter((slot) => slot > 0 && slot <= specialSlots).map((slot) => [slot, blobOf(file, signature, slot)]),
    ),
    ...(team !== undefined && { team }),
    ...(runtime !== undefined && { runtime }),
  });
}

for (const target of ["darwin-arm64", "darwin-x64"] as const) {
  test(`${target}: what Apple's codesign made for Node comes out again, byte for byte`, {
    ...LIMIT,
    ...needs("python3"),
  }, () => {
    const path = runtimeFor(target);
    const file = readFileSync(path);
    const signature = readCodeSignature(path);
    assert.deepEqual([signature.wrongPages, signature.problems], [[], []], "the reader does not understand Apple");
    assert.ok(signature.pages > 30_000 && signature.specialSlots === 7, "this is not codesign's");
    assert.ok(regenerated(file, signature).equals(blobOf(file, signature, 0)), "the CodeDirectory is another one");

    const keys = entitlementKeys(blobOf(file, signature, 5).toString("utf8", BLOB_HEADER));
    assert.ok(keys.includes("com.apple.security.cs.allow-jit"));
    assert.deepEqual(entitlementsDer(keys), blobOf(file, signature, 7).subarray(BLOB_HEADER));
  });
}

test("darwin-arm64: what Apple's linker made for koffi comes out again, byte for byte", {
  ...LIMIT,
  ...needs("python3"),
}, () => {
  const path = koffiFor("darwin-arm64");
  const file = readFileSync(path);
  const signature = readCodeSignature(path);
  assert.deepEqual([signature.wrongPages, signature.problems], [[], []]);
  assert.ok(regenerated(file, signature).equals(blobOf(file, signature, 0)));
});

/** A Mach-O file for arm64 with a section's bytes and nothing to link. `room` is what is left behind the commands. */
function smallMachO({ room = 64, linkEdit = 100, rest = 0, text = 5000 } = {}): Buffer {
  const commandsSize = 72 + 80 + 72;
  const begin = 32 + commandsSize + room;
  const end = begin + text;
  const file = Buffer.alloc(end + linkEdit + rest, 0x90);
  file.fill(0, 0, begin);
  for (const [index, value] of [0xfeedfacf, 0x0100000c, 0, 2, 2, commandsSize].entries()) {
    file.writeUInt32LE(value, 4 * index);
  }
  writeSegment(file, 32, "__TEXT", [0, end], 1);
  file.write("__text", 104, "latin1");
  file.writeBigUInt64LE(BigInt(text), 104 + 40);
  file.writeUInt32LE(begin, 104 + 48);
  writeSegment(file, 184, "__LINKEDIT", [end, linkEdit], 0);
  return file;
}

function writeSegment(file: Buffer, at: number, name: string, [offset, size]: [number, number], sections: number) {
  file.writeUInt32LE(0x19, at);
  file.writeUInt32LE(72 + 80 * sections, at + 4);
  file.write(name, at + 8, "latin1");
  file.writeBigUInt64LE(BigInt(offset), at + 40);
  file.writeBigUInt64LE(BigInt(size), at + 48);
  file.writeUInt32LE(sections, at + 64);
}

const OPTIONS: SignOptions = { identifier: "small", entitlements: ENTITLEMENTS };

test(
  "a small file is signed whatever its length, and every changed byte before the signature is seen",
  needs("python3"),
  (t) => {
    const path = join(temporaryFolder(t), "small");
    for (const linkEdit of [0, 1, 15, 16, 4096, 10_001]) {
      const signed = signAdHoc(smallMachO({ linkEdit }), OPTIONS);
      writeFileSync(path, signed);
      const signature = readCodeSignature(path);
      const { identifier, flags, wrongPages, problems, pages, codeLimit } = signature;
      assert.deepEqual([identifier, flags, wrongPages, problems], ["small", 2, [], []]);
      for (const at of [24, 5000, codeLimit - 1]) {
        const changed = Buffer.from(signed);
        changed[at]! ^= 0x04;
        writeFileSync(path, changed);
        assert.deepEqual(readCodeSignature(path).wrongPages, [Math.floor(at / 4096)], `byte ${at} of ${pages} pages`);
      }
      assert.deepEqual(signAdHoc(smallMachO({ linkEdit }), OPTIONS), signed, "the same input gives other bytes");
    }
  },
);

test("what is not signed: a signed file, one without room, one that does not end with __LINKEDIT, no Mach-O", () => {
  assert.throws(() => signAdHoc(signAdHoc(smallMachO(), OPTIONS), OPTIONS), /there is a signature already/);
  assert.throws(() => signAdHoc(smallMachO({ room: 15 }), OPTIONS), /15 bytes: that is no room for one more/);
  const used = smallMachO();
  used[32 + 224 + 3] = 1;
  assert.throws(() => signAdHoc(used, OPTIONS), /no room/);
  assert.throws(() => signAdHoc(smallMachO({ rest: 1 }), OPTIONS), /__LINKEDIT does not end the file/);
  assert.throws(() => signAdHoc(Buffer.from("\x7fELF".padEnd(100)), OPTIONS), /not a Mach-O file/);
  assert.doesNotThrow(() => signAdHoc(smallMachO({ room: 16 }), OPTIONS));
});

test("entitlements: nothing but keys with true, no comment, no key twice", () => {
  const plist = (dict: string) => `<?xml version="1.0"?>\n<plist version="1.0">\n<dict>${dict}</dict>\n</plist>\n`;
  assert.deepEqual(entitlementKeys(plist("<key>a.b-c</key><true/>\n<key>d</key> <true/>")), ["a.b-c", "d"]);
  for (const [dict, why] of [
    ["<!-- why --><key>a</key><true/>", /something else than keys with <true\/>: <!-- why/],
    ["<key>a</key><false/>", /something else/],
    ["<key>a</key><string>x</string>", /something else/],
    ["<key>a</key><true/><key>a</key><true/>", /a twice/],
  ] as const) {
    assert.throws(() => entitlementKeys(plist(dict)), why);
  }
  assert.throws(() => entitlementKeys("<dict></dict>"), /not a property list/);
});

test("entitlements as DER, by hand (X.690)", () => {
  const der = entitlementsDer(["b", "a"]);
  const entry = (key: string) => `3006${"0c01"}${Buffer.from(key).toString("hex")}${"0101ff"}`;
  assert.equal(der.toString("hex"), `7015${"020101"}b010${entry("a")}${entry("b")}`);
  // From 128 bytes on, a length says first how many bytes it has.
  const long = `${"307d"}${"0c78"}${"6b".repeat(120)}${"0101ff"}`;
  assert.equal(entitlementsDer(["k".repeat(120)]).toString("hex"), `708184${"020101"}b07f${long}`);
});
