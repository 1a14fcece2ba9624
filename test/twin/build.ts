/**
 * Builds the stand-ins for Apple's libraries, and says where they lie. They are built once into a folder of the system's
 * temporary folder that is named after what it was built from; several test files may ask at the same time.
 *
 * ```ts
 * test("frames arrive", needsTwin(), () => {
 *   const twin = twinLibraries();                 // paths, as native/darwin's constructors take them
 *   const control = twinControl(twin);            // injections and counters: twin.h
 * ```
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import koffi from "koffi";
import { isExecutable } from "../../src/system-program.ts";
import type { Skip } from "../support/tools.ts";

const SOURCES = import.meta.dirname;
/** Which Debian packages the build takes. */
const PACKAGES = "clang libblocksruntime-dev libclang-rt-dev";

/** Majors of macOS whose vmnet there is a stand-in for: without `_ip_` calls, without packet limits, classic, all. */
export type MacOS = 11 | 14 | 15 | 26;

export interface TwinLibraries {
  readonly vmnet: string;
  /** dispatch, XPC, Darwin's libc: what macOS has in libSystem.B.dylib. */
  readonly system: string;
  readonly coreFoundation: string;
  readonly systemConfiguration: string;
}

export interface TwinOptions {
  readonly macos?: MacOS;
  /** Built with AddressSanitizer: only for a process that was started with `sanitizerEnvironment()`. */
  readonly sanitized?: boolean;
}

/** One library: its name, its sources, the stand-ins it is linked with. */
interface Library {
  readonly name: string;
  readonly sources: readonly string[];
  readonly needs: readonly string[];
}

/** What is the same for every version of macOS. A process that loads several versions of vmnet shares these. */
const COMMON: readonly Library[] = [
  { name: "System", sources: ["control", "dispatch", "xpc", "syslog", "darwin", "sockets", "peer"], needs: [] },
  { name: "CoreFoundation", sources: ["cf"], needs: ["System"] },
  { name: "SystemConfiguration", sources: ["preferences", "plist"], needs: ["System", "CoreFoundation"] },
];
const VMNET: Library = {
  name: "vmnet",
  sources: ["keys", "interface", "packets", "forwarding", "network"],
  needs: ["System", "CoreFoundation"],
};

/** Options for a test that loads the stand-ins; left out where there is no compiler, a failure with SOFTNET_TEST_ALL=1. */
export function needsTwin(): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1") return {};
  const missing = complaint();
  return missing === undefined ? {} : { skip: missing };
}

/** The same for a test that starts a process with AddressSanitizer. */
export function needsSanitizer(): Skip {
  const skip = needsTwin();
  if (process.env.SOFTNET_TEST_ALL === "1" || skip.skip !== undefined || existsSync(sanitizerRuntime())) return skip;
  return { skip: `AddressSanitizer's runtime is missing: apt-get install ${PACKAGES}` };
}

/** Paths of the libraries, built if they are not there yet. Throws with the compiler's words when that fails. */
export function twinLibraries({ macos = 26, sanitized = false }: TwinOptions = {}): TwinLibraries {
  const flags = sanitized ? ["-fsanitize=address", "-shared-libasan"] : [];
  const suffix = sanitized ? "-sanitized" : "";
  const common = built(`common${suffix}`, (into) => {
    for (const library of COMMON) compileLibrary(library, into, into, flags);
  });
  const vmnet = built(`vmnet-${macos}${suffix}`, (into) =>
    compileLibrary(VMNET, into, common, [...flags, `-DMACOS=${macos}`, `-Wl,-rpath,$ORIGIN/../${basename(common)}`]),
  );
  return {
    vmnet: join(vmnet, "libvmnet.so"),
    system: join(common, "libSystem.so"),
    coreFoundation: join(common, "libCoreFoundation.so"),
    systemConfiguration: join(common, "libSystemConfiguration.so"),
  };
}

function compileLibrary(library: Library, into: string, needed: string, flags: readonly string[]): void {
  const file = `lib${library.name}.so`;
  compile([
    ...["-shared", "-fPIC", "-fvisibility=hidden", ...flags, "-o", join(into, file)],
    ...library.sources.map((source) => join(SOURCES, `${source}.c`)),
    ...[`-Wl,-soname,${file}`, "-Wl,-rpath,$ORIGIN", "-Wl,-z,nodelete", `-L${needed}`],
    ...library.needs.map((name) => `-l${name}`),
    ...["-Wl,--no-as-needed", "-lBlocksRuntime", "-lpthread", "-ldl"],
  ]);
}

/** What the C compiler makes of the stand-ins' headers: `layout.c` says how it is arranged. */
export interface Layout {
  readonly sizes: Record<string, number>;
  /** "struct.field" → bytes. */
  readonly offsets: Record<string, number>;
  readonly constants: Record<string, number>;
}

/** Sizes, offsets and constants as the compiler gives them. */
export function twinLayout(): Layout {
  const folder = built("layout", (into) => compile([join(SOURCES, "layout.c"), "-o", join(into, "layout")]));
  const { status, stdout, error } = spawnSync(join(folder, "layout"), { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the layout program ended with ${status}`);
  return JSON.parse(stdout);
}

/** The status of a process that AddressSanitizer has ended. */
export const SANITIZER_STATUS = 99;

/** Environment for a process that loads sanitized libraries: the first report on stderr ends it. */
export function sanitizerEnvironment(): Record<string, string> {
  const runtime = sanitizerRuntime();
  if (!existsSync(runtime)) throw new Error(`AddressSanitizer's runtime is missing: apt-get install ${PACKAGES}`);
  // Node keeps what it needs until its end: only errors count.
  return { LD_PRELOAD: runtime, ASAN_OPTIONS: `detect_leaks=0:exitcode=${SANITIZER_STATUS}` };
}

/** Where clang has it; a bare file name when it has none. */
function sanitizerRuntime(): string {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const { stdout } = spawnSync("clang", [`-print-file-name=libclang_rt.asan-${machine}.so`], { encoding: "utf8" });
  return stdout.trim();
}

/** Injections and counters by name: `twin.h` tells what each does. */
export interface TwinControl {
  inject(what: string, value: number): void;
  count(what: string): number;
  /** Prints what is held on stderr; answers how many things. */
  reportLeaks(): number;
  /** How many things are held now. A handler that waits for the event loop holds some, too. */
  held(): number;
  /** Reads every byte from instrumented code. */
  touch(address: number | bigint, length: number): void;
  syslogText(): string;
  preferencesFolder(path: string): void;
  describe(what: "start" | "rules" | "network"): unknown;
  /** The next interface that starts is attached to a copy of the descriptor. */
  attach(fd: number): void;
  /** The next interface that starts is attached to this TAP of the calling thread's network namespace. */
  attachTap(name: string): void;
  /** A frame arrives; false when there is no room or no interface. */
  deliver(frame: Uint8Array): boolean;
  /** The oldest frame written to an interface that is not attached. */
  take(): Uint8Array | undefined;
  /** The event callback comes so many times at once. */
  fire(times: number): void;
}

const LARGEST_FRAME = 65_552;

/** The control functions of libraries that are loaded in this process, or will be. */
export function twinControl(libraries: TwinLibraries): TwinControl {
  const system = koffi.load(libraries.system);
  const vmnet = koffi.load(libraries.vmnet);
  const inject = system.func("void twin_inject(const char *what, long value)");
  const count = system.func("long twin_count(const char *what)");
  const reportLeaks = system.func("long twin_report_leaks()");
  const held = system.func("long twin_held()");
  const touch = system.func("long twin_touch(const void *bytes, size_t length)");
  const syslogText = system.func("const char *twin_syslog_text()");
  const preferencesFolder = system.func("void twin_preferences_folder(const char *path)");
  const describe = system.func("const char *twin_describe(const char *what)");
  const attach = vmnet.func("int twin_attach(int fd)");
  const attachTap = vmnet.func("int twin_attach_tap(const char *name)");
  const deliver = vmnet.func("int twin_deliver(const void *frame, size_t length)");
  const take = vmnet.func("size_t twin_take(void *buffer, size_t size)");
  const fire = vmnet.func("void twin_fire(long times)");
  return {
    inject: (what, value) => void inject(what, value),
    count: (what) => Number(count(what)),
    reportLeaks: () => Number(reportLeaks()),
    held: () => Number(held()),
    touch: (address, length) => void touch(BigInt(address), length),
    syslogText: () => syslogText(),
    preferencesFolder: (path) => void preferencesFolder(path),
    describe: (what) => JSON.parse(describe(what)),
    attach: (fd) => {
      if (attach(fd) !== 0) throw new Error(`the stand-in cannot attach descriptor ${fd}`);
    },
    attachTap: (name) => {
      const error = attachTap(name);
      if (error !== 0) throw new Error(`the stand-in cannot attach the TAP ${name}: error ${error}`);
    },
    deliver: (frame) => deliver(frame, frame.length) === 1,
    take: () => {
      const buffer = new Uint8Array(LARGEST_FRAME);
      const length = Number(take(buffer, buffer.length));
      return length === 0 ? undefined : buffer.slice(0, length);
    },
    fire: (times) => void fire(times),
  };
}

// --- building ---

let sourcesHash: string | undefined;

/** A folder that `make` filled, now or in an earlier run. */
function built(variant: string, make: (into: string) => void): string {
  const missing = complaint();
  if (missing !== undefined) throw new Error(missing);
  sourcesHash ??= hashSources();
  const owner = process.getuid?.() ?? 0;
  const base = join(tmpdir(), `softnet-twin-${owner}-${sourcesHash}`);
  if (!existsSync(base)) removeOld(`softnet-twin-${owner}-`);
  mkdirSync(base, { recursive: true, mode: 0o755 });
  const { uid, mode } = lstatSync(base);
  if (uid !== owner || (mode & 0o022) !== 0) throw new Error(`${base} is not ours alone: remove it`);
  const folder = join(base, variant);
  if (existsSync(folder)) return folder;
  const fresh = mkdtempSync(join(base, ".new-"));
  try {
    make(fresh);
    chmodSync(fresh, 0o755); // tests that drop privileges load from here as well
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // else somebody else was faster
  }
  return folder;
}

const A_DAY = 86_400_000;

/** Removes what was built from older sources and lies there for a day. */
function removeOld(prefix: string): void {
  for (const name of readdirSync(tmpdir())) {
    const path = join(tmpdir(), name);
    const found = name.startsWith(prefix) ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (found === undefined || Date.now() - found.mtimeMs < A_DAY) continue; // another process may have removed it
    rmSync(path, { recursive: true, force: true });
  }
}

function hashSources(): string {
  const hash = createHash("sha256").update(spawnSync("clang", ["--version"]).stdout);
  for (const name of readdirSync(SOURCES).toSorted())
    if (/\.[ch]$|^build\.ts$/.test(name)) hash.update(name).update(readFileSync(join(SOURCES, name)));
  return hash.digest("hex").slice(0, 16);
}

function compile(args: readonly string[]): void {
  const fixed = ["-std=gnu11", "-fblocks", "-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"];
  const { status, stderr, error } = spawnSync("clang", [...fixed, ...args], { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the stand-ins for Apple's libraries do not compile:\n${stderr}`);
}

function complaint(): string | undefined {
  if (process.platform !== "linux") return "the stand-ins for Apple's libraries are made for Linux";
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  if (!folders.some((folder) => isExecutable(join(folder, "clang"))))
    return `clang is missing: apt-get install ${PACKAGES}`;
  if (!existsSync("/usr/include/Block.h")) return `the blocks runtime is missing: apt-get install ${PACKAGES}`;
  return undefined;
}
