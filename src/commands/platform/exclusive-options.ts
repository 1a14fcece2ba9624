/** Checks of options that exclude or require each other. */

import type { SessionArguments } from "../../session/options.ts";
import { UserError } from "../../user-error.ts";

/** Throws UserError for `--vm-reconnect` without `--vm-socket`. */
export function refuseReconnect({ vmReconnect, vmSocket }: SessionArguments): void {
  if (vmReconnect && vmSocket === undefined) {
    throw new UserError("--vm-reconnect belongs to --vm-socket PATH: give both or neither");
  }
}

/**
 * Returns the name of the option that has a value; `options` in the order in which messages name them. Throws UserError
 * when more than one has.
 */
export function oneOfOptions(options: Readonly<Record<string, unknown>>): string | undefined {
  const names = Object.keys(options).filter((name) => options[name] !== undefined);
  if (names.length > 1) throw new UserError(`${names.join(" and ")} exclude each other: give one`);
  return names[0];
}

/** The option that says where the VM is; undefined without any. Throws UserError for two. */
export function chosenVm({ vmFd, vmTap, vmSocket, attach }: SessionArguments): string | undefined {
  return oneOfOptions({ "--vm-fd": vmFd, "--vm-tap": vmTap, "--vm-socket": vmSocket, attach });
}

/**
 * The option that chooses the network; undefined without any. Throws UserError for two, and for an option of networks of the
 * VM's own beside another network.
 */
export function chosenNetwork(given: SessionArguments): string | undefined {
  const { bridge, hostFd, hostSocket, vmNetType, subnet, dns, expose, maxConnections } = given;
  const chosen = oneOfOptions({
    "--bridge": bridge,
    "--host-fd": hostFd,
    "--host-socket": hostSocket,
    "--vm-net-type": vmNetType,
  });
  const natOptions = Object.entries({
    "--subnet": subnet,
    "--dns": dns,
    "--expose": expose,
    "--max-connections": maxConnections,
  });
  const [natOnly] = natOptions.find(([, value]) => value !== undefined) ?? [];
  if (chosen !== undefined && vmNetType === undefined && natOnly !== undefined) {
    throw new UserError(`${natOnly} belongs to --vm-net-type nat, not to ${chosen}; leave one of them out`);
  }
  return chosen;
}
