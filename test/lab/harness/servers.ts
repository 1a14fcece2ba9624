/** DHCP servers on the bridge, as Debian has them, each with its files in the lab's directory. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./netns.ts";
import { type Exit, type Program, until } from "./program.ts";
import { BRIDGE, DNS_SERVER, GATEWAY, type Lab, tool } from "./topology.ts";

export type ServerKind = "dnsmasq" | "dhcpd" | "kea-dhcp4" | "systemd-networkd" | "udhcpd";

/** Those that run anywhere on the bridge; the other two serve the link's own subnet from the gateway. */
export const SERVER_KINDS = ["dnsmasq", "dhcpd", "kea-dhcp4"] as const satisfies readonly ServerKind[];

export const ALL_SERVER_KINDS: readonly ServerKind[] = ["dhcpd", "kea-dhcp4", "dnsmasq", "systemd-networkd", "udhcpd"];

/** What prints their versions. */
export const SERVER_VERSIONS: Readonly<Record<ServerKind, readonly string[]>> = {
  dnsmasq: ["dnsmasq", "--version"],
  dhcpd: ["dhcpd", "--version"],
  "kea-dhcp4": ["kea-dhcp4", "-v"],
  "systemd-networkd": ["/usr/lib/systemd/systemd-networkd", "--version"],
  udhcpd: ["udhcpd", "--help"],
};

export interface ServerOptions {
  /** Where it runs; default: the host, so that the gateway is the server. */
  readonly namespace?: Namespace;
  readonly link?: string;
  /** First three numbers of the /24 it serves; default 10.77.0. */
  readonly network?: string;
  /** Last number of the first and of the last address; default 100 and 150. */
  readonly first?: number;
  readonly last?: number;
  readonly router?: string;
  readonly dns?: string;
  /** True: confirms leases that it never gave, as a server does that took over from another. dnsmasq only. */
  readonly authoritative?: boolean;
  /** Lease in seconds; default 600. dnsmasq gives no less than 120. */
  readonly lease?: number;
  /** Seconds until clients renew and rebind (options 58 and 59); default: the clients' own choice. */
  readonly renewal?: number;
  readonly rebinding?: number;
  /** What it tells machines that boot from the network, and serves by TFTP. dnsmasq only. */
  readonly boot?: { readonly folder: string; readonly file: string };
}

let started = 0;

export class DhcpServer {
  readonly kind: ServerKind;
  readonly program: Program;

  private constructor(kind: ServerKind, program: Program) {
    this.kind = kind;
    this.program = program;
  }

  /** Starts a server that knows no leases, and waits until it serves. */
  static async start(lab: Lab, kind: ServerKind, options: ServerOptions = {}): Promise<DhcpServer> {
    const directory = join(lab.directory, `${kind}-${++started}`);
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    const { command, args, env, ready } = STARTERS[kind](directory, complete(options));
    const program = lab.start(options.namespace ?? lab.host, command, args, { env });
    await program.line(ready);
    if (kind === "kea-dhcp4") {
      // Kea opens its sockets before it says so, yet tells of a link without them only in its log.
      await until("Kea's socket", () => !program.lines.some((line) => /NO_SOCKETS_OPEN/.test(line)));
    }
    return new DhcpServer(kind, program);
  }

  /** Ends it at once, without a word to its clients. */
  stop(): Promise<Exit> {
    return this.program.stop("SIGKILL");
  }
}

type Complete = Required<Omit<ServerOptions, "namespace" | "renewal" | "rebinding" | "boot">> &
  Pick<ServerOptions, "renewal" | "rebinding" | "boot">;

function complete(options: ServerOptions): Complete {
  const network = options.network ?? "10.77.0";
  return {
    link: BRIDGE,
    network,
    first: 100,
    last: 150,
    router: network === "10.77.0" ? GATEWAY : `${network}.1`,
    dns: DNS_SERVER,
    authoritative: false,
    lease: 600,
    ...options,
  };
}

interface Starter {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly ready: RegExp;
}

const STARTERS: Readonly<Record<ServerKind, (directory: string, options: Complete) => Starter>> = {
  dnsmasq(directory, { link, network, first, last, router, dns, authoritative, lease, renewal, rebinding, boot }) {
    const more = authoritative ? ["--dhcp-authoritative"] : [];
    if (renewal !== undefined) more.push(`--dhcp-option=58,${renewal}`);
    if (rebinding !== undefined) more.push(`--dhcp-option=59,${rebinding}`);
    if (boot !== undefined) more.push("--enable-tftp", `--tftp-root=${boot.folder}`, `--dhcp-boot=${boot.file}`);
    return {
      command: "dnsmasq",
      args: [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--no-ping",
        "--port=0",
        "--user=root",
        "--pid-file=",
        `--dhcp-leasefile=${join(directory, "leases")}`,
        `--interface=${link}`,
        "--except-interface=lo",
        "--bind-interfaces",
        "--log-dhcp",
        `--dhcp-range=${network}.${first},${network}.${last},255.255.255.0,${lease}`,
        router === "" ? "--dhcp-option=3" : `--dhcp-option=3,${router}`,
        `--dhcp-option=6,${dns}`,
        ...more,
      ],
      env: {},
      ready: /DHCP, sockets bound exclusively/,
    };
  },
  dhcpd(directory, { link, network, first, last, router, dns, lease, renewal, rebinding }) {
    const config = join(directory, "dhcpd.conf");
    const leases = join(directory, "leases");
    writeFileSync(leases, "");
    writeFileSync(
      config,
      [
        "authoritative;",
        "ping-check false;",
        "ddns-update-style none;",
        `default-lease-time ${lease};`,
        `max-lease-time ${lease};`,
        `min-lease-time ${lease};`,
        renewal === undefined ? "" : `option dhcp-renewal-time ${renewal};`,
        rebinding === undefined ? "" : `option dhcp-rebinding-time ${rebinding};`,
        `subnet ${network}.0 netmask 255.255.255.0 {`,
        `  range ${network}.${first} ${network}.${last};`,
        `  option routers ${router};`,
        `  option domain-name-servers ${dns};`,
        "}",
      ].join("\n"),
    );
    return {
      command: "dhcpd",
      args: ["-4", "-f", "-d", "--no-pid", "-cf", config, "-lf", leases, link],
      env: {},
      ready: /Server starting service/,
    };
  },
  "kea-dhcp4"(directory, { link, network, first, last, router, dns, lease, renewal, rebinding }) {
    const config = join(directory, "kea.json");
    writeFileSync(
      config,
      JSON.stringify({
        Dhcp4: {
          "interfaces-config": { interfaces: [link], "dhcp-socket-type": "raw" },
          "lease-database": { type: "memfile", persist: false },
          authoritative: true,
          "valid-lifetime": lease,
          ...(renewal === undefined ? {} : { "renew-timer": renewal }),
          ...(rebinding === undefined ? {} : { "rebind-timer": rebinding }),
          subnet4: [
            {
              subnet: `${network}.0/24`,
              pools: [{ pool: `${network}.${first} - ${network}.${last}` }],
              "option-data": [
                { name: "routers", data: router },
                { name: "domain-name-servers", data: dns },
              ],
            },
          ],
          loggers: [{ name: "kea-dhcp4", severity: "INFO", output_options: [{ output: "stdout", flush: true }] }],
        },
      }),
    );
    return {
      command: "kea-dhcp4",
      args: ["-c", config],
      env: { KEA_LOCKFILE_DIR: directory, KEA_PIDFILE_DIR: directory },
      ready: /DHCP4_STARTED/,
    };
  },
  "systemd-networkd"(directory, { link, first, last, dns, lease }) {
    const files = join(directory, "network");
    mkdirSync(files);
    writeFileSync(
      join(files, "10-server.network"),
      [
        `[Match]\nName=${link}`,
        "[Network]\nDHCPServer=yes\nIPForward=yes\nLinkLocalAddressing=no\nIPv6AcceptRA=no",
        // As the lab has set it, or networkd sets it again and again.
        `[Address]\nAddress=${GATEWAY}/24\nBroadcast=no`,
        `[DHCPServer]\nPoolOffset=${first}\nPoolSize=${last - first + 1}\nEmitDNS=yes\nDNS=${dns}\nEmitRouter=yes`,
        `DefaultLeaseTimeSec=${lease}\nMaxLeaseTimeSec=${lease}\n`,
      ].join("\n"),
    );
    return {
      command: "sh",
      args: [tool("private-run.sh"), directory, "/usr/lib/systemd/systemd-networkd"],
      env: { SYSTEMD_LOG_LEVEL: "debug", SYSTEMD_LOG_TARGET: "console" },
      ready: new RegExp(`${link}: .*(DHCPv4 server: STARTED|Offering DHCPv4 leases)`),
    };
  },
  udhcpd(directory, { link, network, first, last, router, dns, lease }) {
    const config = join(directory, "udhcpd.conf");
    const leases = join(directory, "leases");
    writeFileSync(leases, "");
    writeFileSync(
      config,
      [
        `start ${network}.${first}`,
        `end ${network}.${last}`,
        `interface ${link}`,
        `lease_file ${leases}`,
        `pidfile ${join(directory, "pid")}`,
        "min_lease 5",
        "option subnet 255.255.255.0",
        `option router ${router}`,
        `option dns ${dns}`,
        `option lease ${lease}`,
        "",
      ].join("\n"),
    );
    return { command: "udhcpd", args: ["-f", config], env: {}, ready: /udhcpd: started/ };
  },
};
