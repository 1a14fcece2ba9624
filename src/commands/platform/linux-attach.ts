/** `softnet attach` on Linux: which network the interface's VM gets, and how its port is made. */
import { type Attachment, attach, formerBridge } from "../../attach/attachment.ts";
import { findInterface } from "../../attach/interface.ts";
import { AttachedPort } from "../../attach/port.ts";
import { connectInterfaceHelper, helpInterface } from "../../host/interface-helper.ts";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { Links } from "../../native/linux/links.ts";
import { linuxRegistry } from "../../registry/linux.ts";
import type { SessionArguments } from "../../session/options.ts";
import { prepareRegistry } from "../../session/registry-entry.ts";
import type { Log } from "../../telemetry/log.ts";
import { UserError } from "../../user-error.ts";
import { chosenNetwork, chosenVm } from "./exclusive-options.ts";

/** Takes the interface over. Rejects with UserError; then everything is as before. */
export async function attachVm(libc: LinuxLibc, given: SessionArguments, log: Log): Promise<AttachedPort> {
  const { attach: name = "", vmMacAddress = "", openOnExit = false } = given;
  chosenVm(given);
  const registry = linuxRegistry(libc);
  const { directory } = registry;
  const bridge = chooseBridge(libc, given, directory);
  prepareRegistry(registry);
  const warn = (message: string): void => log.warn(message);
  // It starts while the rest is made: the time in which nothing passes is shorter by that.
  const connecting = connectInterfaceHelper(libc, { directory, warn });
  connecting.catch(() => {}); // the port's `ready` says it
  let attachment: Attachment;
  try {
    attachment = attach(libc, {
      ...{ name, mac: vmMacAddress, openOnExit, directory },
      ...{ noLane: whyNoLane(given), ipv6: given.ipv6 },
    });
  } catch (error) {
    await connecting.then((connection) => connection.close()).catch(() => {});
    throw error;
  }
  const helper = connecting.then((connection) => helpInterface(connection, attachment));
  helper.catch(() => {});
  return new AttachedPort(libc, { attachment, helper, warn, ...(bridge !== undefined && { bridge }) });
}

/** Why there shall be no express lane; undefined: there shall be one. */
function whyNoLane({ expressLane, capture }: SessionArguments): string | undefined {
  if (expressLane === false) return "--no-express-lane";
  return capture === undefined ? undefined : "--capture records every frame, which the lane does not show";
}

/** The bridge on which softnet's TAP takes the interface's place. Throws UserError where no network is named, or two. */
function chooseBridge(libc: LinuxLibc, given: SessionArguments, directory: string): string | undefined {
  const { attach: name = "", bridge } = given;
  const links = new Links(libc);
  let own: string | undefined;
  try {
    own = findInterface(libc, links, name).bridge?.name ?? formerBridge(libc, directory, name);
  } finally {
    links.close();
  }
  const chosen = chosenNetwork(given);
  if (chosen === undefined && own === undefined) {
    throw new UserError(
      `attach ${name}: it is on no bridge; give its VM a network with --vm-net-type nat, or --bridge NAME`,
    );
  }
  if (chosen !== undefined && own !== undefined && bridge !== own) {
    throw new UserError(
      `attach ${name}: it is on bridge ${own}, where softnet takes its place; leave ${chosen} out, or take it off that bridge first`,
    );
  }
  return chosen === undefined ? own : undefined;
}
