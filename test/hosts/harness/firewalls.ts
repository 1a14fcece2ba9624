/** The real programs, as a person starts and reloads them. */
import type { Program } from "../../lab/harness/program.ts";
import type { Tool } from "../../support/tools.ts";
import type { PrivateHost } from "./private-host.ts";

/** A firewall that, as it comes, lets no VM's traffic through. */
export interface Firewall {
  readonly name: string;
  readonly tools: readonly Tool[];
  /** True: only where it turns ip_forward on itself does it close what is forwarded. */
  readonly turnsForwardingOn?: boolean;
  start(host: PrivateHost): Promise<void>;
  /** Loads its rules anew, from what it keeps. */
  reload(host: PrivateHost): Promise<void>;
  /** What a person writes where it lasts, other than the command itself; `line` is softnet's. */
  keep?(host: PrivateHost, line: string): Promise<void>;
}

const ufw: Firewall = {
  name: "ufw",
  tools: ["ufw", "iptables"],
  start: async (host) => {
    await host.run("ufw --force enable");
  },
  reload: async (host) => {
    await host.run("ufw reload");
  },
};

const firewalld: Firewall = {
  name: "firewalld",
  tools: ["firewall-cmd", "dbus-daemon"],
  start: async (host) => {
    await host.run("dbus-daemon --system --fork --nopidfile");
    host.start("firewalld --nofork --nopid");
    await host.until("firewall-cmd --state");
  },
  reload: async (host) => {
    await host.run("firewall-cmd --reload");
  },
};

const DOCKERD = "dockerd --storage-driver vfs --data-root /run/docker-data --exec-root /run/docker-exec";

export class Docker implements Firewall {
  readonly name = "Docker";
  readonly tools = ["dockerd", "iptables"] as const;
  readonly turnsForwardingOn = true;
  #daemon: Program | undefined;

  async start(host: PrivateHost): Promise<void> {
    this.#daemon = host.start(DOCKERD);
    await host.until("docker info >/dev/null");
  }

  async reload(host: PrivateHost): Promise<void> {
    await host.run("kill $(cat /var/run/docker.pid)");
    await this.#daemon?.ended();
    await this.start(host);
  }
}

/** Docker with its rules for IPv6, which close what is forwarded of IPv6. */
class Docker6 extends Docker {
  override async start(host: PrivateHost): Promise<void> {
    const settings = { experimental: true, ip6tables: true, ipv6: true, "fixed-cidr-v6": "fd00:d0c::/64" };
    await host.run(`mkdir -p /etc/docker && echo '${JSON.stringify(settings)}' > /etc/docker/daemon.json`);
    await super.start(host);
  }
}

const CONF = "/etc/nftables.conf";
const RULES = [
  "flush ruleset",
  "table inet filter {",
  "  chain input { type filter hook input priority filter; policy accept; }",
  "  chain forward {",
  "    type filter hook forward priority filter; policy drop;",
  "    ct state vmap { established : accept, related : accept, invalid : drop }",
  "  }",
  "}",
].join("\n");

const nftables: Firewall = {
  name: "nftables",
  tools: ["nft"],
  start: async (host) => {
    await host.run(`cat > ${CONF} <<'END'\n${RULES}\nEND\nnft -f ${CONF}`);
  },
  reload: async (host) => {
    await host.run(`nft -f ${CONF}`);
  },
  keep: async (host, line) => {
    const rules = /nft '(.*)'$/.exec(line)![1]!.split("; ");
    const lines = rules.map((rule) => rule.replace(/^insert rule inet filter forward /, ""));
    for (const rule of lines) await host.run(`sed -i '/ct state vmap/i ${rule}' ${CONF}`);
  },
};

/** What a person has let through of IPv4 already, so that IPv6 is what is left. */
const OPEN_IPV4 = ["-i softnet+", "-o softnet+ -m conntrack --ctstate RELATED,ESTABLISHED"];

/** ufw, which has IPv4's in a file of its own. */
const ufwOfIPv6: Firewall = {
  ...ufw,
  start: async (host) => {
    for (const match of OPEN_IPV4) {
      await host.run(`sed -i 's/^COMMIT/-A ufw-before-forward ${match} -j ACCEPT\\nCOMMIT/' /etc/ufw/before.rules`);
    }
    await host.run("ufw --force enable");
  },
};

const openIPv4: Firewall["start"] = async (host) => {
  for (const match of OPEN_IPV4) await host.run(`iptables -I FORWARD ${match} -j ACCEPT`);
};

class DockerOfIPv6 extends Docker6 {
  override async start(host: PrivateHost): Promise<void> {
    await super.start(host);
    await openIPv4(host);
  }
}

const nftablesOfIPv6: Firewall = {
  ...nftables,
  start: async (host) => {
    await host.run(
      `cat > ${CONF} <<'END'\n${RULES.replace("    ct state", "    meta nfproto ipv4 accept\n    ct state")}\nEND`,
    );
    await host.run(`nft -f ${CONF}`);
  },
};

const SAVED = "/run/ip6tables.saved";

/** ip6tables by hand, saved and restored as netfilter-persistent does it. */
const ip6tables: Firewall = {
  name: "iptables",
  tools: ["iptables"],
  start: async (host) => {
    await host.run("ip6tables -P FORWARD DROP && ip6tables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT");
  },
  keep: async (host) => {
    await host.run(`ip6tables-save > ${SAVED}`);
  },
  reload: async (host) => {
    await host.run(`ip6tables-restore < ${SAVED}`);
  },
};

/** As they come, with IPv6. */
export function firewallsOfBoth(): readonly Firewall[] {
  return [ufw, firewalld, new Docker6(), nftables];
}

/** Those that have IPv4 let through, and IPv6 not. */
export function firewallsOfIPv6(): readonly Firewall[] {
  return [ufwOfIPv6, new DockerOfIPv6(), nftablesOfIPv6, ip6tables];
}

export function firewalls(): readonly Firewall[] {
  return [ufw, firewalld, new Docker(), nftables];
}
