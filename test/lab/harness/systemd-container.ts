/**
 * A real systemd as the first process of a container of its own (systemd-nspawn), over an overlay of this machine's files: nothing that
 * happens in it stays. It has a network namespace of its own, without any interface but lo, or one that a test made.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { PATIENCE } from "../../support/patience.ts";
import type { Skip } from "../../support/tools.ts";

const PROBE = `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh /lab/script
`;

export interface BootOptions {
  /** What runs in it: lines of shell, as root. */
  readonly script: string;
  /** More files for its folder /lab, by their names. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Files to copy there, under their own names. */
  readonly copies?: readonly string[];
  /** Milliseconds until it is ended. */
  readonly patience?: number;
}

/** A machine that runs beside others. */
export interface Beside {
  /** The lines that its script has printed, once it is switched off. */
  readonly lines: Promise<string[]>;
  /** Those that it has printed until now. */
  printed(): string[];
  /** Puts a file into its folder /lab. */
  put(name: string, text: string): void;
}

interface Machine {
  /** What systemd-nspawn is given to boot it with these. */
  prepare(options: BootOptions, network: string): string[];
  printed(): string[];
  put(name: string, text: string): void;
  /** All of it; to be called when it is switched off. */
  remove(): void;
}

let made = 0;

/** systemd in a container needs the kernel's groups of processes and an overlay. */
export function mayBoot(): Skip {
  const cgroups = spawnSync("findmnt", ["--noheadings", "--types", "cgroup,cgroup2"]).status === 0;
  const overlay = readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n");
  return cgroups && overlay ? {} : { skip: "needs cgroups and overlayfs" };
}

/** Boots it, runs the script, switches it off, and returns the lines that the script printed. */
export function boot(t: TestContext, options: BootOptions): string[] {
  return machine(t)(options);
}

/** Boots it in the network namespace of this name (ip-netns(8)), and does not wait for its end. */
export function bootBeside(t: TestContext, namespace: string, options: BootOptions): Beside {
  const { prepare, printed, put, remove } = makeMachine();
  const words = prepare(options, `--network-namespace-path=/run/netns/${namespace}`);
  const limits = { timeout: options.patience ?? PATIENCE, killSignal: "SIGKILL" } as const;
  const container = spawn("systemd-nspawn", words, { stdio: "ignore", ...limits });
  const ended = once(container, "exit");
  t.after(async () => {
    if (container.exitCode === null && container.signalCode === null) container.kill("SIGKILL");
    await ended;
    remove();
  });
  return { lines: ended.then(printed), printed, put };
}

/** The same machine at each call: a further boot finds what the one before has written. */
export function machine(t: TestContext): (options: BootOptions) => string[] {
  const { prepare, printed, remove } = makeMachine();
  t.after(remove);
  return (options) => {
    const { patience = PATIENCE } = options;
    const words = prepare(options, "--private-network");
    spawnSync("systemd-nspawn", words, { stdio: "ignore", timeout: patience, killSignal: "SIGKILL" });
    return printed();
  };
}

function makeMachine(): Machine {
  const place = mkdtempSync(join(tmpdir(), "softnet-systemd-"));
  chmodSync(place, 0o755);
  execFileSync("mount", ["-t", "tmpfs", "none", place]);
  const [root, lab] = [join(place, "root"), join(place, "lab")];
  for (const name of ["upper", "work", "root", "lab"]) mkdirSync(join(place, name));
  const layers = `lowerdir=/,upperdir=${join(place, "upper")},workdir=${join(place, "work")}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", layers, root]);
  writeFileSync(join(root, "etc/systemd/system/probe.service"), PROBE);
  rmSync(join(root, "etc/machine-id"), { force: true });
  const name = `softnet-${process.pid}-${++made}`;
  const put = (file: string, text: string): void => writeFileSync(join(lab, file), text);
  return {
    put,
    remove: () => {
      spawnSync("umount", [root]);
      spawnSync("umount", [place]);
      rmSync(place, { recursive: true, force: true });
    },
    printed: () => {
      const printed = readFileSync(join(lab, "out"), "utf8").trim().split("\n");
      return printed.filter((line) => line !== "Powering off.");
    },
    prepare: ({ script, texts = {}, copies = [] }, network) => {
      for (const [file, text] of Object.entries(texts)) put(file, text);
      for (const path of copies) copyFileSync(path, join(lab, basename(path)));
      put("script", `#!/bin/sh\nexec >/lab/out 2>&1\n${script}\nsystemctl poweroff --force --force\n`);
      put("out", "");
      const options = ["--quiet", "-D", root, `--machine=${name}`, "--register=no", "--keep-unit"];
      options.push("--capability=all", "--system-call-filter=bpf");
      options.push(`--bind=${lab}:/lab`, network, "--boot", "systemd.unit=probe.service");
      return options;
    },
  };
}
