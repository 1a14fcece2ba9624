/** Verifies the open points on this Mac, one by one. Ends with 1 when something that softnet counts on is not so. */
import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { parseArgs } from "node:util";
import { loadCoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { APPLE } from "../../src/native/darwin/libraries.ts";
import { darwinFeatures, systemName } from "../../src/native/darwin/release.ts";
import { loadSystemConfiguration } from "../../src/native/darwin/systemconfiguration.ts";
import { readMacState } from "../../src/networks/vmnet/host-state.ts";
import { loadVmnetNative } from "../../src/networks/vmnet/native.ts";
import { executablePoints } from "./executable.ts";
import { leaseTimePoints } from "./lease-time.ts";
import { ownNetworkPoints } from "./own-network.ts";
import { runPoints } from "./points.ts";
import { socketPoints } from "./sockets.ts";
import { systemPoints } from "./system.ts";
import { vmnetPoints } from "./vmnet.ts";

const { values } = parseArgs({ options: { executable: { type: "string" } } });
const libc = loadDarwinLibc();
const native = loadVmnetNative();
const coreFoundation = () => loadCoreFoundation();
const points = [
  ...systemPoints(libc),
  ...socketPoints(libc, darwinFeatures(release()), APPLE.system),
  ...vmnetPoints(native),
  ...ownNetworkPoints(native, coreFoundation, readMacState),
  ...leaseTimePoints(() => ({ coreFoundation: coreFoundation(), systemConfiguration: loadSystemConfiguration() })),
  ...executablePoints(values.executable),
];
const build = spawnSync("/usr/bin/sw_vers", ["-buildVersion"], { encoding: "utf8" }).stdout?.trim();
console.log(`${systemName(release())} (${build}), ${process.arch}, Node ${process.version}`);
const failures = await runPoints(points, (line) => console.log(line));
process.exitCode = failures === 0 ? 0 : 1;
