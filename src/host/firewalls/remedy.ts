/**
 * Which program made a chain that drops a VM's traffic, and the command that lets it through: as narrow as that program
 * can say it, for softnet's own TAPs alone, and kept by that program. docs/firewalls.md has each at length.
 *
 * What goes to a TAP may be let through as a whole where the program knows no more: softnet's own table drops there all
 * that is no answer and no client of an exposed port.
 */

/** What is dropped: what the VM sends, answers to it, what clients send to its exposed ports. */
export type Lost = "sent" | "answers" | "clients";

export interface Place {
  readonly family: string;
  readonly table: string;
  /** The base chain that drops. */
  readonly name: string;
  /** All chains of the table. */
  readonly names: ReadonlySet<string>;
  /** What a person changes the table with: `nft`, or iptables or ip6tables by its name on this host. */
  readonly command: string;
  /** ufw is on this host, and has left IPv6 out: then it closes that whole. */
  readonly leftOutByUfw: boolean;
}

/** What a table drops, by family. Of a VM without IPv6 `ipv6` is empty. */
export interface Losses {
  readonly ipv4: ReadonlySet<Lost>;
  readonly ipv6: ReadonlySet<Lost>;
}

interface Remedy {
  readonly program: string;
  readonly keeps: string;
  readonly commands: readonly string[];
}

const NAMES: Readonly<Record<Lost, string>> = {
  sent: "what the VM sends",
  answers: "answers to the VM",
  clients: "what clients send to a port of --expose",
};

export interface RemedyText {
  /** One line: who drops what, and last the command. */
  readonly text: string;
  readonly command: string;
}

/** `bridge`: the VM is on that bridge, else it has a network of its own. */
export function remedyOf(place: Place, { ipv4, ipv6 }: Losses, bridge: string | undefined): RemedyText {
  const lost = lostOf({ ipv4, ipv6 });
  const { program, keeps, commands } = choose(place, { ipv4, ipv6 }, bridge);
  const what = [...lost].map((kind) => `${NAMES[kind]}${ipv4.has(kind) ? "" : " by IPv6"}`).join(" and ");
  const where = `chain ${place.name} of the table ${place.family} ${place.table}`;
  const so = bridge === undefined && ipv4.size === 0 && takesIPv6(ipv6) ? ", so the VM gets no IPv6" : "";
  const command = commands.join(" && ");
  return { text: `${program} drops ${what} (${where})${so}; this lets it through, ${keeps}: ${command}`, command };
}

function lostOf({ ipv4, ipv6 }: Losses): ReadonlySet<Lost> {
  return new Set([...ipv4, ...ipv6]);
}

/** Clients of exposed ports are more than a VM needs. */
export function takesIPv6(lost: ReadonlySet<Lost>): boolean {
  return lost.has("sent") || lost.has("answers");
}

function choose(place: Place, losses: Losses, bridge: string | undefined): Remedy {
  const lost = lostOf(losses);
  const { table, names, command } = place;
  if (table.startsWith("firewalld") || names.has("FORWARD_direct")) {
    return bridge === undefined ? firewalld(lost) : withoutFirewall(losses);
  }
  if (names.has("ufw-user-forward") || names.has("ufw6-user-forward")) return ufw(lost, bridge);
  if (place.leftOutByUfw) return withIPv6(ufw(lost, bridge));
  if (command === "nft") return nftables(place, lost, bridge);
  const isDocker = isDockers(names);
  const chain = userChainOf(place);
  const rules = bridge === undefined ? routedMatches(lost) : BRIDGED_MATCHES;
  return {
    program: isDocker ? "Docker" : "iptables",
    keeps: isDocker
      ? "and lasts in ExecStartPost= lines of docker.service"
      : 'and lasts with "netfilter-persistent save"',
    commands: rules.map(
      (rule) => `${command}${table === "filter" ? "" : ` -t ${table}`} -I ${chain} ${rule} -j ACCEPT`,
    ),
  };
}

/** Docker 20 makes its chains in IPv6's table too, but none for its user there. */
function isDockers(names: ReadonlySet<string>): boolean {
  return names.has("DOCKER-USER") || names.has("DOCKER");
}

function userChainOf({ name, names }: Place): string {
  return names.has("DOCKER-USER") ? "DOCKER-USER" : name;
}

function routedMatches(lost: ReadonlySet<Lost>): string[] {
  return [
    ...(lost.has("sent") ? ["-i softnet+"] : []),
    ...(lost.has("answers") ? ["-o softnet+ -m conntrack --ctstate RELATED,ESTABLISHED"] : []),
    ...(lost.has("clients") ? ["-o softnet+ -m conntrack --ctstate DNAT"] : []),
  ];
}

/** DHCP servers answer from an address of their own: no connection that is known. */
const BRIDGED_MATCHES = [
  "-m physdev --physdev-is-bridged --physdev-in softnet+",
  "-m physdev --physdev-is-bridged --physdev-out softnet+",
];

function ufw(lost: ReadonlySet<Lost>, bridge: string | undefined): Remedy {
  const routed = [
    ...(lost.has("sent") ? ["ufw route allow in on softnet+"] : []),
    ...(lost.has("answers") || lost.has("clients") ? ["ufw route allow out on softnet+"] : []),
  ];
  const commands = bridge === undefined ? routed : [`ufw route allow in on ${bridge} out on ${bridge}`];
  return { program: "ufw", keeps: "and ufw keeps it", commands };
}

function withIPv6({ commands, ...ufw }: Remedy): Remedy {
  return { ...ufw, commands: ["sed -i 's/^IPV6=no/IPV6=yes/' /etc/default/ufw", "ufw reload", ...commands] };
}

/** firewalld has no words for what a bridge passes on. */
function withoutFirewall({ ipv4, ipv6 }: Losses): Remedy {
  const switches = [
    ...(ipv4.size > 0 ? ["bridge-nf-call-iptables"] : []),
    ...(ipv6.size > 0 ? ["bridge-nf-call-ip6tables"] : []),
  ];
  return {
    program: "firewalld",
    keeps: "and lasts in a file of /etc/sysctl.d",
    commands: switches.map((name) => `sysctl -w net.bridge.${name}=0`),
  };
}

function firewalld(lost: ReadonlySet<Lost>): Remedy {
  const policy = (name: string, from: string, to: string): string[] => [
    `--new-policy=${name}`,
    `--policy=${name} --add-ingress-zone=${from}`,
    `--policy=${name} --add-egress-zone=${to}`,
    `--policy=${name} --set-target=ACCEPT`,
  ];
  const settings = [
    "--new-zone=softnet",
    "--zone=softnet --add-interface=softnet+",
    ...(lost.has("sent") ? policy("softnet-out", "softnet", "ANY") : []),
    ...(lost.has("answers") || lost.has("clients") ? policy("softnet-in", "ANY", "softnet") : []),
  ];
  return {
    program: "firewalld",
    keeps: "and firewalld keeps it",
    commands: [...settings.map((setting) => `firewall-cmd --permanent ${setting}`), "firewall-cmd --reload"],
  };
}

function nftables(place: Place, lost: ReadonlySet<Lost>, bridge: string | undefined): Remedy {
  const { family, table, names } = place;
  const isDocker = isDockers(names);
  const chain = userChainOf(place);
  const routed = [
    ...(lost.has("sent") ? ['iifname "softnet*" accept'] : []),
    ...(lost.has("answers") ? ['oifname "softnet*" ct state established,related accept'] : []),
    ...(lost.has("clients") ? ['oifname "softnet*" ct status dnat accept'] : []),
  ];
  const rules = bridge === undefined ? routed : [`iifname "${bridge}" oifname "${bridge}" accept`];
  const inserted = rules.map((rule) => `insert rule ${family} ${table} ${chain} ${rule}`);
  return {
    program: isDocker ? "Docker" : "nftables",
    keeps: isDocker
      ? "and lasts in ExecStartPost= lines of docker.service"
      : "and lasts with the same rules at the top of that chain in /etc/nftables.conf",
    commands: [`nft '${inserted.join("; ")}'`],
  };
}
