/**
 * A real systemd as the first process of a container of its own (systemd-nspawn), over an overlay of this machine's files: nothing that
 * happens in it stays. It has a network namespace of its own, without any interface but lo.
 */
import { execFileSync, spawnSync } from "node:child_process";
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

/** The same machine at each call: a further boot finds what the one before has written. */
export function machine(t: TestContext): (options: BootOptions) => string[] {
  const place = mkdtempSync(join(tmpdir(), "softnet-systemd-"));
  chmodSync(place, 0o755);
  execFileSync("mount", ["-t", "tmpfs", "none", place]);
  t.after(() => {
    spawnSync("umount", [join(place, "root")]);
    spawnSync("umount", [place]);
    rmSync(place, { recursive: true, force: true });
  });
  const [root, lab] = [join(place, "root"), join(place, "lab")];
  for (const name of ["upper", "work", "root", "lab"]) mkdirSync(join(place, name));
  const layers = `lowerdir=/,upperdir=${join(place, "upper")},workdir=${join(place, "work")}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", layers, root]);
  writeFileSync(join(root, "etc/systemd/system/probe.service"), PROBE);
  rmSync(join(root, "etc/machine-id"), { force: true });
  return ({ script, texts = {}, copies = [], patience = PATIENCE }) => {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(lab, name), text);
    for (const path of copies) copyFileSync(path, join(lab, basename(path)));
    const lines = `exec >/lab/out 2>&1\n${script}\nsystemctl poweroff --force --force\n`;
    writeFileSync(join(lab, "script"), `#!/bin/sh\n${lines}`);
    writeFileSync(join(lab, "out"), "");
    const options = ["--quiet", "-D", root, `--machine=softnet-${process.pid}`, "--register=no", "--keep-unit"];
    options.push("--capability=all", "--system-call-filter=bpf");
    options.push(`--bind=${lab}:/lab`, "--private-network", "--boot", "systemd.unit=probe.service");
    spawnSync("systemd-nspawn", options, { stdio: "ignore", timeout: patience, killSignal: "SIGKILL" });
    const printed = readFileSync(join(lab, "out"), "utf8").trim().split("\n");
    return printed.filter((line) => line !== "Powering off.");
  };
}
