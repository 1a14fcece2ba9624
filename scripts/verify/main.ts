/**
 * Verifies the open points on this Mac, one by one. Ends with 1 when something that softnet counts on is not so. A signal
 * ends it after the point that runs, so that everything is restored.
 */
import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { parseArgs } from "node:util";
import { loadCoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { loadDarwinLibc, SOCK_DGRAM } from "../../src/native/darwin/libc.ts";
import { APPLE } from "../../src/native/darwin/libraries.ts";
import { loadRegistryCalls } from "../../src/native/darwin/registry-calls.ts";
import { darwinFeatures, systemName } from "../../src/native/darwin/release.ts";
import { loadSystemConfiguration } from "../../src/native/darwin/systemconfiguration.ts";
import { readMacState } from "../../src/networks/vmnet/mac-state.ts";
import { loadVmnetNative } from "../../src/networks/vmnet/native.ts";
import { darwinRegistry } from "../../src/registry/darwin.ts";
import { blockedPoints } from "./blocked.ts";
import { bootpdPoints } from "./bootpd.ts";
import { controlPoints } from "./control.ts";
import { dropPoints } from "./drop.ts";
import { executablePoints } from "./executable.ts";
import { leaseTimePoints } from "./lease-time.ts";
import { ownNetworkPoints } from "./own-network.ts";
import { runPoints } from "./points.ts";
import { registryPoints } from "./registry.ts";
import { exitCodeOf, noteSignals } from "./signals.ts";
import { signaturePoints } from "./signature.ts";
import { socketPair } from "./socket-pair.ts";
import { socketPoints } from "./sockets.ts";
import { subnetPoints } from "./subnet.ts";
import { systemPoints } from "./system.ts";
import { vmnetPoints } from "./vmnet.ts";

const { values } = parseArgs({
  options: { executable: { type: "string" }, "executable-x64": { type: "string" } },
});
const libc = loadDarwinLibc();
const native = loadVmnetNative();
const coreFoundation = () => loadCoreFoundation();
const leaseTime = () => ({ coreFoundation: coreFoundation(), systemConfiguration: loadSystemConfiguration() });
const points = [
  ...systemPoints(libc),
  ...registryPoints(darwinRegistry(libc, loadRegistryCalls())),
  ...dropPoints(APPLE.system),
  ...socketPoints(libc, darwinFeatures(release()), APPLE.system),
  ...controlPoints(libc, APPLE.system),
  ...vmnetPoints(native),
  ...blockedPoints(APPLE),
  ...subnetPoints(native, coreFoundation, readMacState),
  ...ownNetworkPoints(native, coreFoundation, readMacState),
  ...leaseTimePoints(leaseTime),
  ...bootpdPoints(native, leaseTime),
  ...signaturePoints({ path: values.executable, x64: values["executable-x64"] }),
  ...executablePoints({
    path: values.executable,
    hasOwnNetworks: native.vmnet.networks !== undefined,
    socketPair: () => socketPair(libc, APPLE.system, SOCK_DGRAM),
    close: (fd) => libc.close(fd),
  }),
];
const stopped = noteSignals();
const build = spawnSync("/usr/bin/sw_vers", ["-buildVersion"], { encoding: "utf8" }).stdout?.trim();
console.log(`${systemName(release())} (${build}), ${process.arch}, Node ${process.version}`);
const failures = await runPoints(points, (line) => console.log(line), stopped);
const signal = stopped();
if (signal !== undefined) process.exitCode = exitCodeOf(signal);
else process.exitCode = failures === 0 ? 0 : 1;
