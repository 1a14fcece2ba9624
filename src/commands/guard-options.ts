/** The options that `run` and `replay` share: what the guard needs to know about its VM. */
import type { Command } from "commander";
import {
  hostname,
  ipv4Address,
  macAddress,
  onlyList,
  routerAddress6,
  ruleList,
  vmAddresses,
  wholeNumber,
} from "./values.ts";

export function addGuardOptions(command: Command): Command {
  return command
    .option(
      "--vm-mac-address <mac>",
      "the VM's MAC address: the only one it may send from",
      macAddress("--vm-mac-address"),
    )
    .option(
      "--allow <list>",
      "rules that allow, comma-separated: [in|out ]CIDR-name-or-alias[:port]; 0.0.0.0/0 also ends isolation",
      ruleList("allow"),
    )
    .option(
      "--block <list>",
      "rules that block: ports first, then the longest prefix decides, block on a tie",
      ruleList("block"),
    )
    .option(
      "--only <list>",
      "rules that allow, such as registry.npmjs.org, and everything else that the VM sends is closed",
      onlyList,
    )
    .option("--policy <file>", "more rules, one a line: allow, block or only RULE; SIGHUP reads it again")
    .option("--gateway <address>", "the gateway: DHCP may name no other router", ipv4Address("--gateway"))
    .option("--gateway-mac <mac>", "the gateway's MAC address: ARP may name no other", macAddress("--gateway-mac"))
    .option("--dhcp-server <address>", "the only DHCP server to trust", ipv4Address("--dhcp-server"))
    .option(
      "--dhcp-server-mac <mac>",
      "the only MAC address that DHCP answers may come from",
      macAddress("--dhcp-server-mac"),
    )
    .option(
      "--vm-ip-address <address>",
      "the VM's static address: DHCP can teach no other; with --ipv6 also ADDRESS,IPV6-ADDRESS",
      vmAddresses("--vm-ip-address"),
    )
    .option(
      "--ipv6",
      "let the VM use IPv6, too, with the same guarantees (docs/ipv6.md); without it all IPv6 is dropped",
    )
    .option(
      "--router6 <address>",
      "the link-local address of the only IPv6 router to trust (default: the first that advertises)",
      routerAddress6("--router6"),
    )
    .option("--vm-hostname <name>", "the only name that the VM may give itself by DHCP", hostname("--vm-hostname"))
    .option(
      "--mtu <bytes>",
      "the largest IPv4 packet (default: the bridge's MTU, else 1500)",
      wholeNumber("--mtu", 68, 65_521),
    );
}
