/** softnet on a kernel that has no tcx (before Linux 6.6): its bpf(2) refuses what is newer, and clsact is used. */

import { linuxPlatform } from "../../../src/commands/platform/linux.ts";
import { run } from "../../../src/commands/run.ts";
import { type LinuxLibc, loadLibc } from "../../../src/native/linux/libc.ts";
import { UserError } from "../../../src/user-error.ts";

/** BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_QUERY. */
const NEWER = [8, 9, 16];
const EINVAL = 22;

const libc = loadLibc();
let refused = false;
const old = {
  ...libc,
  bpf: (command: number, attributes: Uint8Array): number => {
    refused = NEWER.includes(command);
    return refused ? -1 : libc.bpf(command, attributes);
  },
  errno: (): number => (refused ? EINVAL : libc.errno()),
  ioctl: ((...args: Parameters<LinuxLibc["ioctl"]>): number => {
    refused = false;
    return libc.ioctl(...args);
  }) as LinuxLibc["ioctl"],
};

const [attach = "", vmMacAddress = "", vmIpAddress = "", gateway = "", more] = process.argv.slice(2);
try {
  process.exitCode = await run(
    {
      attach,
      vmMacAddress,
      vmIpAddress,
      gateway,
      openOnExit: more === "open",
      releaseOnExit: true,
      captureSize: 65_536,
      captureFiles: 1,
      logFormat: "json",
      logLevel: "debug",
    },
    () => linuxPlatform(old),
  );
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`softnet: ${error.message}`);
  process.exitCode = 1;
}
