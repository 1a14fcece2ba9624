/**
 * A user's desk in the lab: a folder with a disk, and a shell in the host's namespace into which lines of the
 * documentation are pasted. `softnet` in it is this source, with a detailed log; QEMU boots the system of initramfs.ts,
 * with its serial console on standard output; sudo has nothing to do. Programs die with whoever started them.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathOf } from "../../support/tools.ts";
import { ENVIRONMENT, type Program } from "../harness/program.ts";
import { softnetCommand } from "../harness/softnet.ts";
import type { Lab } from "../harness/topology.ts";
import { initramfs, type SystemOptions } from "./initramfs.ts";
import { kernel } from "./kernel.ts";

/** Of a kernel that nobody watches: no messages but those of the system, none of the slow protections. */
export const KERNEL_ARGUMENTS = "console=ttyS0 quiet mitigations=off nokaslr";

/**
 * Emulation everywhere, as a machine's own KVM may be slower or broken inside of another virtual machine. Each shell has
 * mounts of its own (ip-netns(8)), so nobody else misses the device.
 */
const WITHOUT_KVM = "[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm";

/** A machine without a screen that ends when its system does. */
export const HEADLESS: readonly string[] = "-no-reboot -display none -monitor none -serial stdio".split(" ");

export class Desk {
  /** Also the XDG_RUNTIME_DIR of its shells. */
  readonly folder: string;
  readonly #lab: Lab;
  readonly #programs: string;

  constructor(lab: Lab, system: SystemOptions) {
    this.#lab = lab;
    this.folder = join(lab.directory, "desk");
    this.#programs = join(lab.directory, "bin");
    mkdirSync(this.folder);
    chmodSync(this.folder, 0o777); // passt gives up being root before it makes its socket
    mkdirSync(this.#programs);
    writeFileSync(join(this.folder, "disk.qcow2"), Buffer.alloc(2 ** 20));
    const linux = kernel();
    const archive = join(lab.directory, "initramfs");
    writeFileSync(archive, initramfs(linux, system));
    const qemu = [pathOf("qemu-system-x86_64") ?? "", ...HEADLESS, "-kernel", linux.image, "-initrd", archive];
    this.#program("qemu-system-x86_64", [...qemu, "-append", KERNEL_ARGUMENTS]);
    this.#program("softnet", softnetCommand([]), ["--log-format", "json", "--log-level", "debug"]);
    this.#program("sudo", []);
  }

  /** Pastes lines into a new terminal. */
  paste(lines: string): Program {
    const env = { PATH: `${this.#programs}:${ENVIRONMENT.PATH}`, XDG_RUNTIME_DIR: this.folder };
    return this.#lab.start(this.#lab.host, "bash", ["-ec", `${WITHOUT_KVM}\ncd '${this.folder}'\n${lines}`], { env });
  }

  /** A program of the desk's own: `command` with what it is given, and `more` behind that. */
  #program(name: string, command: readonly string[], more: readonly string[] = []): void {
    const quote = (word: string): string => `'${word}'`;
    const words = ["exec setpriv --pdeathsig KILL", ...command.map(quote), '"$@"', ...more.map(quote)];
    writeFileSync(join(this.#programs, name), `#!/bin/sh\n${words.join(" ")}\n`, { mode: 0o755 });
  }
}
