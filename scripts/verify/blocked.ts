/**
 * Clearing vmnet's event callback while a handler waits for this program's thread: softnet's stop begins so. Whether it
 * returns is tried in a child, since nothing could end a call that does not.
 */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DarwinLibraries } from "../../src/native/darwin/libraries.ts";
import { VMNET_INTERFACE_PACKETS_AVAILABLE, VMNET_SHARED_MODE, VMNET_SUCCESS } from "../../src/native/darwin/vmnet.ts";
import { describeStatus } from "../../src/native/darwin/vmnet-status.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import type { VmnetNative } from "../../src/networks/vmnet/native.ts";
import { type Finding, failed, ok, open, type Point } from "./points.ts";

const CHILD = fileURLToPath(new URL("blocked-child.ts", import.meta.url));
const PATIENCE = 60_000; // milliseconds
/** Milliseconds in which a handler comes and waits. */
const WAIT = 1000;

export function blockedPoints(libraries: DarwinLibraries): Point[] {
  return [{ name: "vmnet: its event callback can be cleared while a handler waits", run: () => inChild(libraries) }];
}

function inChild(libraries: DarwinLibraries): Finding {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [CHILD, JSON.stringify(libraries)], {
    encoding: "utf8",
    timeout: PATIENCE,
    killSignal: "SIGKILL",
  });
  if (signal !== null) return failed("clearing does not return");
  return status === 0 ? JSON.parse(stdout) : failed(`the child ended with ${status}: ${stderr.trim()}`);
}

/** `provoke` makes a frame arrive. */
export async function clearWhileBlocked(
  native: VmnetNative,
  provoke: (vmnet: VmnetInterface) => void,
): Promise<Finding> {
  const vmnet = await VmnetInterface.start(native, {
    label: "verify",
    on: { mode: VMNET_SHARED_MODE },
    isolated: true,
  });
  let handlers = 0;
  vmnet.port.watch({ readable: true, writable: false }, () => {
    handlers++;
  });
  provoke(vmnet);
  // Nothing of JavaScript's runs meanwhile: a handler that vmnet calls now waits.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
  const before = performance.now();
  const status = native.vmnet.vmnet_interface_set_event_callback(
    vmnet.address,
    VMNET_INTERFACE_PACKETS_AVAILABLE,
    0,
    0,
  );
  const took = `${(performance.now() - before).toFixed(0)} ms`;
  await sleep(WAIT);
  const why = await vmnet.stop();
  if (why !== undefined) return failed(why);
  if (status !== VMNET_SUCCESS) return failed(`clearing says ${describeStatus(status)}`);
  return handlers > 0 ? ok(`it took ${took}`) : open(`it took ${took}, but no handler waited: nothing arrived`);
}
