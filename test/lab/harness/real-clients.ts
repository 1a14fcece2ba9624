/**
 * DHCP clients of real systems, each as its service runs it: the program configures the card itself. What a client keeps
 * between two starts is in its folder.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Tool } from "../../support/tools.ts";
import { ENVIRONMENT } from "./program.ts";
import { tool } from "./topology.ts";

export interface RealClient {
  readonly name: string;
  readonly tool: Tool;
  /** Further programs that it needs. */
  readonly needs: readonly Tool[];
  /** Prints its version; the first number with a point in it counts. */
  readonly version: readonly string[];
  /** Asks for its former address when it starts. */
  readonly reboots: boolean;
  /** The command that runs it for a card, with its files in a folder. */
  command(folder: string, link: string): readonly string[];
}

const NETWORKD = "/usr/lib/systemd/systemd-networkd";
const PRIVATE = ["sh", tool("private-run.sh")];

/** systemd's own identifier (RFC 4361), with its enterprise number, where the machine has no name of its own. */
const DUID = "00:00:ab:11:f9:2a:c2:77:7e:1a:00:01";

/** NetworkManager for one card; `methods`: the sections `[ipv4]` and `[ipv6]` of its connection. */
export function networkManager(folder: string, link: string, methods: string): string[] {
  const connections = join(folder, "connections");
  mkdirSync(connections, { recursive: true });
  writeFileSync(join(folder, "bus"), "");
  writeFileSync(
    join(connections, "guest.nmconnection"),
    `[connection]\nid=guest\nuuid=5a1c6f0e-6f2b-4a55-9d0e-0c6f3b1a7e1a\ntype=ethernet\ninterface-name=${link}\n${methods}`,
    { mode: 0o600 },
  );
  const config = join(folder, "NetworkManager.conf");
  writeFileSync(
    config,
    "[main]\ndhcp=internal\ndns=none\nrc-manager=unmanaged\nplugins=keyfile\nno-auto-default=*\nauth-polkit=false\n" +
      `[keyfile]\npath=${connections}\n[logging]\nlevel=INFO\ndomains=DEFAULT,DHCP4:DEBUG,DHCP6:DEBUG\nbackend=stderr\n` +
      "[connectivity]\nenabled=false\n",
  );
  const empty = join(folder, "none");
  mkdirSync(empty, { recursive: true });
  const folders = [`--config=${config}`, `--config-dir=${empty}`, `--system-config-dir=${empty}`];
  return [...PRIVATE, folder, "NetworkManager", "--no-daemon", ...folders, "--plugins=keyfile"];
}

export const REAL_CLIENTS: readonly RealClient[] = [
  {
    name: "systemd-networkd",
    tool: "systemd-networkd",
    needs: ["unshare"],
    version: [NETWORKD, "--version"],
    reboots: false,
    command(folder, link) {
      const files = join(folder, "network");
      mkdirSync(files, { recursive: true });
      writeFileSync(
        join(files, "10-client.network"),
        `[Match]\nName=${link}\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n` +
          `[DHCPv4]\nDUIDType=vendor\nDUIDRawData=${DUID}\nSendRelease=no\n`,
      );
      return [...PRIVATE, folder, "env", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console", NETWORKD];
    },
  },
  {
    name: "NetworkManager",
    tool: "NetworkManager",
    needs: ["dbus-daemon", "unshare"],
    version: ["NetworkManager", "--version"],
    reboots: true,
    command: (folder, link) => networkManager(folder, link, "[ipv4]\nmethod=auto\n[ipv6]\nmethod=disabled\n"),
  },
  {
    name: "ConnMan",
    tool: "connmand",
    needs: ["dbus-daemon", "unshare"],
    version: ["connmand", "--version"],
    reboots: true,
    command(folder, link) {
      writeFileSync(join(folder, "bus"), "");
      const config = join(folder, "connman.conf");
      writeFileSync(
        config,
        "[General]\nEnableOnlineCheck=false\nAllowHostnameUpdates=false\nAllowDomainnameUpdates=false\n" +
          "FallbackTimeservers=\nFallbackNameservers=\nNetworkInterfaceBlacklist=vmnet\n",
      );
      return [...PRIVATE, folder, "connmand", "-n", "-d", "--nodnsproxy", "-i", link, "-c", config];
    },
  },
  {
    name: "dhcpcd",
    tool: "dhcpcd",
    needs: ["unshare"],
    version: ["dhcpcd", "--version"],
    reboots: true,
    command(folder, link) {
      const config = join(folder, "dhcpcd.conf");
      writeFileSync(
        config,
        "duid\npersistent\noption rapid_commit\noption domain_name_servers, classless_static_routes, interface_mtu\n" +
          "require dhcp_server_identifier\nslaac private\nnoipv6\nnoipv4ll\n",
      );
      return [...PRIVATE, folder, "dhcpcd", "-B", "-d", "-4", "-f", config, "-c", "/bin/true", link];
    },
  },
  {
    name: "dhclient",
    tool: "dhclient",
    needs: [],
    version: ["dhclient", "--version"],
    reboots: true,
    command(folder, link) {
      const config = join(folder, "dhclient.conf");
      writeFileSync(
        config,
        "timeout 30;\nretry 5;\nreboot 10;\noption rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n" +
          "request subnet-mask, broadcast-address, time-offset, routers, domain-name, domain-name-servers, host-name,\n" +
          "  rfc3442-classless-static-routes, ntp-servers;\n",
      );
      const files = ["-lf", join(folder, "leases"), "-pf", join(folder, "pid"), "-sf", tool("dhclient.sh")];
      return ["dhclient", "-4", "-d", "-v", "-cf", config, ...files, link];
    },
  },
  {
    name: "udhcpc",
    tool: "udhcpc",
    needs: [],
    version: ["udhcpc", "--help"],
    reboots: false,
    command: (_folder, link) => ["udhcpc", "-f", "-i", link, "-s", tool("udhcpc.sh"), "-A", "5"],
  },
];

/** Which version a program says it is: the first number with a point in it. */
export function versionOf(command: readonly string[]): string {
  const text = execFileSync("sh", ["-c", '"$0" "$@" 2>&1 || true', ...command], { env: ENVIRONMENT, encoding: "utf8" });
  return /\d+\.\d[\w.-]*/.exec(text)?.[0] ?? "unknown";
}
