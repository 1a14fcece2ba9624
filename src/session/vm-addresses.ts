/** `--vm-ip-address`: the VM's static addresses, and which options need IPv6. */
import { UserError } from "../user-error.ts";
import { parseIPv4 } from "../wire/address.ts";
import { isGlobalOrUniqueLocal, parseIPv6 } from "../wire/ipv6-address.ts";

/** Of each family one at most, as the user wrote them. */
export interface VmAddresses {
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/** Parses `10.0.0.5`, `fd00::5`, or both with a comma between; undefined for anything else, as for two of one family. */
export function parseVmAddresses(text: string): VmAddresses | undefined {
  const parts = text.split(",");
  const ipv4 = parts.filter((part) => parseIPv4(part) !== undefined);
  const ipv6 = parts.filter((part) => {
    const address = parseIPv6(part);
    return address !== undefined && isGlobalOrUniqueLocal(address);
  });
  if (ipv4.length > 1 || ipv6.length > 1 || ipv4.length + ipv6.length !== parts.length) return undefined;
  return { ...(ipv4[0] !== undefined && { ipv4: ipv4[0] }), ...(ipv6[0] !== undefined && { ipv6: ipv6[0] }) };
}

/** What `--vm-ip-address` says; what is no address is for the guard to refuse. */
export function vmAddresses({ vmIpAddress }: { readonly vmIpAddress?: string }): VmAddresses {
  if (vmIpAddress === undefined) return {};
  return parseVmAddresses(vmIpAddress) ?? { ipv4: vmIpAddress };
}

export interface IPv6Arguments {
  readonly ipv6?: boolean;
  readonly router6?: string;
  readonly vmIpAddress?: string;
}

/** Throws UserError for an option about IPv6 while that is off. */
export function refuseWithoutIPv6(given: IPv6Arguments): void {
  if (given.ipv6 === true) return;
  const needing = { "--router6": given.router6, "--vm-ip-address": vmAddresses(given).ipv6 };
  for (const [option, value] of Object.entries(needing)) {
    if (value !== undefined) throw new UserError(`${option} ${value}: IPv6 is off; add --ipv6, or leave this out`);
  }
}
