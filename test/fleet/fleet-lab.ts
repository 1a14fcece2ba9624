/**
 * A fleet as it is used: hosts with real softnets and the real `softnet fleet agent`, a cluster of three nats-servers with the rights of
 * packaging/fleet/nats.conf, and an operator, each in a network namespace of its own on the lab's bridge.
 *
 *     operator (the lab's neighbour) ── br0 ── n0, n1, n2   10.77.0.40 …
 *                                        └──── h1, h2, h3   10.77.0.31 …   each with VMs on a bridge of its own
 *
 * A host sees a folder of its own as /run/softnet, so that its agent finds its VMs alone.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ControlClient } from "../../src/control/client.ts";
import type { Namespace } from "../lab/harness/netns.ts";
import { type Program, until } from "../lab/harness/program.ts";
import { softnetCommand } from "../lab/harness/softnet.ts";
import { BRIDGE, type Lab } from "../lab/harness/topology.ts";
import type { OperatorRequest } from "./tools/operator.ts";

const SERVERS = 3;
const PORT = 4222;
const RIGHTS = readFileSync(new URL("../../packaging/fleet/nats.conf", import.meta.url), "utf8").replace(
  /^jetstream .*$/m,
  "",
);
const OPERATOR = fileURLToPath(new URL("tools/operator.ts", import.meta.url));
/** Runs a command with a folder in /run/softnet's place, and one that stays as long as this does as the store of a server. */
const WITH_RUN = 'mkdir -p /run/softnet; mount --bind "$1" /run/softnet; shift; exec "$@"';
const SMALL_DISK = 'mount -t tmpfs -o "size=$1" tmpfs "$2"; echo mounted; exec sleep infinity';

/** The rights of the example, with an agent's for each of these hosts but those whose credentials are revoked. */
function rightsOf(hosts: readonly string[], revoked: readonly string[] = []): string {
  const begin = RIGHTS.indexOf("{ user: h1,");
  const end = RIGHTS.lastIndexOf("]");
  const example = RIGHTS.slice(begin, end);
  const agents = hosts.filter((host) => !revoked.includes(host)).map((host) => example.replaceAll("h1", host));
  return `${RIGHTS.slice(0, begin)}${agents.join("\n")}${RIGHTS.slice(end)}`;
}

/** A namespace on the lab's bridge. */
function attach(lab: Lab, role: string, address: string): Namespace {
  const namespace = lab.namespace(role);
  lab.host.ipBatch([
    `link add ${role} type veth peer name eth0 netns ${namespace.name}`,
    `link set ${role} master ${BRIDGE} up`,
  ]);
  namespace.ipBatch([`address add ${address}/24 dev eth0`, "link set eth0 up"]);
  return namespace;
}

export class LabServer {
  readonly name: string;
  readonly address: string;
  readonly #lab: Lab;
  readonly #namespace: Namespace;
  readonly #folder: string;
  #disk: Program | undefined;
  #program: Program | undefined;

  constructor(lab: Lab, index: number) {
    this.#lab = lab;
    this.name = `n${index}`;
    this.address = `10.77.0.${40 + index}`;
    this.#namespace = attach(lab, this.name, this.address);
    this.#folder = join(lab.directory, this.name);
    mkdirSync(join(this.#folder, "store"), { recursive: true });
  }

  /** `rights`: of the configuration; they come into force at the next start, or at once where it runs. */
  configure(rights: string): void {
    const routes = Array.from({ length: SERVERS }, (_, index) => `"nats://10.77.0.${40 + index}:6222"`);
    const lines = [
      `server_name: ${this.name}`,
      `listen: "${this.address}:${PORT}"`,
      `jetstream { store_dir: "${this.#folder}/store", max_mem: 64M, max_file: 256M }`,
      `cluster { name: fleet, listen: "${this.address}:6222", routes: [${routes.join(", ")}] }`,
      rights,
    ];
    writeFileSync(join(this.#folder, "conf"), lines.join("\n"));
    this.#program?.signal("SIGHUP");
  }

  /** Gives it a disk of its own; to be called before its first start. `size`: as tmpfs has it. */
  async smallDisk(size: string): Promise<void> {
    const args = ["-ec", SMALL_DISK, "sh", size, join(this.#folder, "store")];
    this.#disk = this.#lab.start(this.#namespace, "sh", args, { label: `${this.name}'s disk` });
    await this.#disk.line(/^mounted$/);
  }

  /** Its disk as this process sees it. */
  get disk(): string {
    return `/proc/${this.#disk?.pid}/root${this.#folder}/store`;
  }

  async start(): Promise<void> {
    const command = ["nats-server", "-c", join(this.#folder, "conf")];
    const disk = this.#disk === undefined ? [] : ["nsenter", "-t", String(this.#disk.pid), "-m", "--"];
    const [first, ...args] = [...disk, ...command];
    this.#program = this.#lab.start(this.#namespace, first!, args, { label: this.name });
    await this.#program.line(/Server is ready/);
  }

  async kill(): Promise<void> {
    await this.#program?.stop("SIGKILL");
  }
}

export interface LabVm {
  readonly host: string;
  readonly name: string;
  readonly labels: readonly string[];
  /** What its own options block. */
  readonly own: string;
  /** The path of its control socket, as this process sees it. */
  readonly control: string;
}

export class LabHost {
  readonly name: string;
  readonly vms: LabVm[] = [];
  readonly #fleet: FleetLab;
  readonly #namespace: Namespace;
  readonly #folder: string;
  #agent: Program | undefined;

  constructor(fleet: FleetLab, index: number) {
    const { lab } = fleet;
    this.#fleet = fleet;
    this.name = `h${index}`;
    this.#namespace = attach(lab, this.name, `10.77.0.${30 + index}`);
    this.#namespace.ipBatch(["link add br0 type bridge", "link set br0 up"]);
    this.#folder = join(lab.directory, this.name);
    mkdirSync(join(this.#folder, "run"), { recursive: true });
    writeFileSync(join(this.#folder, "login"), `${this.name}:${this.name}\n`, { mode: 0o600 });
  }

  /** Starts a softnet with a name and labels. */
  async vm(name: string, labels: readonly string[], ...more: readonly string[]): Promise<LabVm> {
    const number = this.vms.length + 1;
    const address = `10.9.${this.name.slice(1)}.${number}`;
    const own = `192.0.2.${number}/32`;
    const mac = `7e:1a:00:00:0${this.name.slice(1)}:0${number}`;
    const given = ["--vm-tap", `vm${number}`, "--bridge", "br0", "--vm-mac-address", mac, "--vm-ip-address", address];
    const named = ["--name", name, ...(labels.length > 0 ? ["--label", labels.join(",")] : [])];
    const program = this.#start(name, [...given, ...named, "--gateway", "10.9.0.1", "--block", own, ...more]);
    await program.line(/message=started/);
    const vm = { host: this.name, name, labels, own, control: join(this.#folder, "run/vms", name, "ctl") };
    this.vms.push(vm);
    return vm;
  }

  async startAgent(): Promise<void> {
    const files = ["--login", join(this.#folder, "login"), "--state", join(this.#folder, "state")];
    const args = ["fleet", "agent", "--nats", this.#fleet.urls, "--host", this.name, ...files];
    this.#agent = this.#start(`agent of ${this.name}`, args);
    await this.#agent.line(/the agent works/);
  }

  async killAgent(): Promise<void> {
    await this.#agent?.stop("SIGKILL");
  }

  /** What its agent has written. */
  get log(): readonly string[] {
    return this.#agent?.lines ?? [];
  }

  /** Takes its cable out of the bridge, and puts it in again. */
  cut(): void {
    this.#fleet.lab.host.ip("link", "set", this.name, "down");
  }

  heal(): void {
    this.#fleet.lab.host.ip("link", "set", this.name, "up");
  }

  #start(label: string, args: readonly string[]): Program {
    const command = ["-ec", WITH_RUN, "sh", join(this.#folder, "run"), ...softnetCommand(args)];
    return this.#fleet.lab.start(this.#namespace, "sh", command, { label });
  }
}

export class FleetLab {
  readonly lab: Lab;
  readonly servers: readonly LabServer[];
  readonly hosts: readonly LabHost[];
  #operator: Program | undefined;
  #asked = 0;

  constructor(lab: Lab, hosts = 3) {
    this.lab = lab;
    this.servers = Array.from({ length: SERVERS }, (_, index) => new LabServer(lab, index));
    this.hosts = Array.from({ length: hosts }, (_, index) => new LabHost(this, index + 1));
    this.revoke();
  }

  get urls(): string {
    return this.servers.map(({ address }) => `nats://${address}:${PORT}`).join(",");
  }

  get vms(): LabVm[] {
    return this.hosts.flatMap(({ vms }) => vms);
  }

  /** From now on these hosts' agents have no rights any more; with none, all have them. */
  revoke(...hosts: readonly string[]): void {
    const names = this.hosts.map(({ name }) => name);
    for (const server of this.servers) server.configure(rightsOf(names, hosts));
  }

  /** Starts the servers and sets the fleet up. */
  async open(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.start()));
    this.#operator = this.lab.start(this.lab.neighbour, process.execPath, [OPERATOR, this.urls, "admin", "admin"], {
      input: true,
      label: "operator",
    });
    await this.#operator.line(/^connected$/);
    await until("the cluster has elected", async () => {
      const answered = await this.ask({ do: "init", replicas: SERVERS }).catch(() => "no");
      return answered === null;
    });
  }

  /** Throws what the operator is told. */
  async ask(request: OperatorRequest): Promise<unknown> {
    const id = ++this.#asked;
    const operator = this.#operator!;
    const from = operator.lines.length;
    operator.write(`${JSON.stringify({ id, ...request })}\n`);
    const { result, error } = JSON.parse(await operator.line(new RegExp(`^\\{"id":${id},`), undefined, from));
    if (error !== undefined) throw new Error(error);
    return result;
  }

  /** Sets a document, or takes it away; again while NATS elects. */
  async set(key: string, document?: object): Promise<void> {
    const text = document === undefined ? {} : { text: JSON.stringify(document) };
    await this.#persistently({ do: "set", key, ...text });
  }

  /** The text of a document; undefined where there is none. */
  async get(key: string): Promise<string | undefined> {
    return ((await this.#persistently({ do: "get", key })) as { readonly text: string } | null)?.text;
  }

  async #persistently(request: OperatorRequest): Promise<unknown> {
    const { result } = await until(`an answer to ${JSON.stringify(request)}`, async () =>
      this.ask(request).then(
        (result) => ({ result }),
        () => undefined,
      ),
    );
    return result;
  }

  async leader(stream: string): Promise<LabServer> {
    return await until("there is a leader", async () => {
      const name = await this.ask({ do: "leader", stream }).catch(() => undefined);
      return this.servers.find((server) => server.name === name);
    });
  }
}

/** What a VM blocks and its limits, as its own control socket says. */
export async function policyOf({ control }: LabVm): Promise<{ block: unknown; limits: unknown }> {
  const client = await ControlClient.connect(control);
  try {
    const { block } = await client.ask("softnet.policy.get");
    const { limits } = await client.ask("softnet.limits.get");
    return { block, limits };
  } finally {
    client.close();
  }
}
