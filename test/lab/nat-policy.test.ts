/** The policy of a VM with a network of its own changes while it runs: the host's rules follow, or softnet ends. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { asBefore, hostState } from "./harness/nat.ts";
import { type Program, until } from "./harness/program.ts";
import { Softnet } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("nft", "setpriv", "udhcpc"), ...LIMIT };
const PYTHON = "/usr/bin/python3";
const PORT = "99";

interface Own {
  readonly guest: Guest;
  readonly program: Program;
  readonly address: string;
  /** Tells the network a policy. */
  policy(told: object): void;
}

let created = 0;

async function own(lab: Lab, subnet: string): Promise<Own> {
  const link = `pvm${++created}`;
  const mac = `7e:1a:00:00:04:${created.toString(16).padStart(2, "0")}`;
  const args = [tool("nat-policy.ts"), link, mac, subnet];
  const program = lab.start(lab.host, process.execPath, args, { label: "nat-policy", input: true });
  const softnet = new Softnet(program);
  await softnet.ready();
  const namespace = lab.namespace(link);
  lab.host.ip("link", "set", link, "netns", namespace.name);
  namespace.ip("link", "set", link, "up");
  const guest = Guest.at(lab, namespace, link, mac, softnet);
  const { address } = await lease(guest);
  return { guest, program, address, policy: (told) => program.write(`${JSON.stringify(told)}\n`) };
}

async function meets(from: Own, to: Own): Promise<boolean> {
  const { stdout } = await from.guest.namespace.run(PYTHON, [tool("port.py"), "ask", to.address, PORT]);
  assert.ok(stdout.startsWith("no:") || stdout.trim() === from.address, `translated: ${stdout}`);
  return !stdout.startsWith("no:");
}

suite("a policy that changes behind NAT", { concurrency: 2 }, () => {
  test("two VMs are opened to each other and closed again, also in a burst of changes", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const before = await hostState(lab.host);
    const one = await own(lab, "10.99.1.0/30");
    const two = await own(lab, "10.99.2.0/30");
    const server = lab.start(two.guest.namespace, PYTHON, [tool("port.py"), "listen", two.address, PORT]);
    await server.line(/^ready$/);
    assert.equal(await meets(one, two), false, "closed at first");

    one.policy({ allow: ["10.99.2.0/30"] });
    await until("the host's rules follow", async () => {
      const { stdout } = await lab.host.run("nft", ["list", "set", "inet", "softnet", "allowed"]);
      return /"softnet\d+" \. 10\.99\.2\.0\/30/.test(stdout);
    });
    assert.equal(await meets(one, two), false, "opened by one side only");
    two.policy({ allow: ["10.99.1.0/30"] });
    await until("they meet", () => meets(one, two));

    const connection = one.guest.start("ping", ["-n", "-i", "0.2", two.address]);
    await connection.line(/bytes from/);
    two.policy({});
    await until("they are closed", async () => !(await meets(one, two)));
    const answers = connection.count(/bytes from/);
    assert.equal(await one.guest.ping(two.address, 2), false);
    assert.equal(connection.count(/bytes from/), answers, "what was open when the policy changed went on");

    two.policy({ allow: ["10.99.1.0/30"], times: 10_000 });
    await until("they meet again", () => meets(one, two));
    two.policy({ block: ["10.99.0.0/16"], times: 10_000 });
    await until("they are closed again", async () => !(await meets(one, two)));
    assert.ok(await one.guest.ping(INTERNET), "the way out is not what changed");

    for (const { program } of [one, two]) assert.equal((await program.stop("SIGINT")).code, 0);
    await asBefore(lab.host, before);
  });

  test("rules that cannot be told close the network: exit 1, nothing left", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const before = await hostState(lab.host);
    for (const odd of [[null], 5]) {
      const vm = await own(lab, "10.99.3.0/30");
      assert.ok(await vm.guest.ping(INTERNET));
      vm.policy({ odd });
      assert.equal((await vm.program.ended()).code, 1, vm.program.text());
      assert.match(vm.program.text(), /a change of policy is not taken/);
      await asBefore(lab.host, before);
    }
  });
});
