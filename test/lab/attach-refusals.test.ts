/** What softnet is not attached to, and who may not attach it: one line with the remedy, and nothing is changed. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { makeCard, masterOf } from "./harness/attached.ts";
import { Softnet, softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";

interface Refusal {
  readonly what: string;
  /** `ip` commands before; `t0` is a veth on the host. */
  readonly before?: readonly string[];
  readonly args: readonly string[];
  readonly text: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  { what: "an interface that does not exist", args: ["nosuch0"], text: /no such interface/ },
  { what: "the loopback interface", args: ["lo"], text: /loopback/ },
  { what: "a bridge", args: [BRIDGE], text: /this is a bridge/ },
  { what: "the link of the default route", args: ["up0"], text: /default route/ },
  {
    what: "an interface without Ethernet",
    before: ["tuntap add tun0 mode tun"],
    args: ["tun0"],
    text: /kind tun/,
  },
  {
    what: "an interface with an address",
    before: ["address add 10.99.0.1/30 dev t0"],
    args: ["t0", "--vm-net-type", "nat"],
    text: /has the address 10\.99\.0\.1.*--vm-net-type nat, or --bridge/,
  },
  {
    what: "an interface that is down with an address",
    before: ["link set t0 down", "address add 10.99.0.1/30 dev t0"],
    args: ["t0", "--vm-net-type", "nat"],
    text: /has the address 10\.99\.0\.1/,
  },
  { what: "an interface without a network", args: ["t0"], text: /no bridge.*--vm-net-type nat, or --bridge/ },
  {
    what: "a bridge's port with another network",
    before: [`link set t0 master ${BRIDGE}`],
    args: ["t0", "--vm-net-type", "nat"],
    text: /it is on bridge br0.*leave --vm-net-type out/,
  },
  { what: "a bridge that does not exist", args: ["t0", "--bridge", "nobr0"], text: /nobr0/ },
  { what: "two VMs", args: ["t0", "--bridge", BRIDGE, "--vm-tap", "vm0"], text: /--vm-tap/ },
];

/** All that attaching changes. */
async function inventory(lab: Lab): Promise<unknown> {
  const settings = "for f in /proc/sys/net/ipv?/conf/t0/*; do echo $f $(cat $f 2>/dev/null); done";
  return {
    links: lab.host.links(),
    master: masterOf(lab.host, "t0"),
    settings: (await lab.host.run("sh", ["-c", settings])).stdout,
  };
}

suite("refused", SIDE_BY_SIDE, () => {
  for (const { what, before = [], args, text } of REFUSALS) {
    test(`${what}: one line, exit 1, nothing changed`, { ...labNeeds(), ...LIMIT }, async (t) => {
      const lab = Lab.open(t);
      const guest = lab.namespace("guest");
      lab.host.ipBatch([`link add t0 type veth peer name eth0 netns ${guest.name}`, "link set t0 up", ...before]);
      const was = await inventory(lab);
      const softnet = Softnet.start(lab, lab.host, ["attach", ...args, "--vm-mac-address", MAC]);
      assert.equal((await softnet.program.ended()).code, 1, softnet.program.text());
      assert.equal(softnet.errors.length, 1, softnet.program.text());
      assert.match(softnet.errors[0]!, text);
      assert.deepEqual(await inventory(lab), was);
    });
  }

  test("a second softnet at the same interface is refused, and the first goes on", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await lab.guest({
      card: "veth",
      bare: false,
      address: "10.77.0.21/24",
      args: ["--vm-ip-address", "10.77.0.21", "--gateway", GATEWAY],
    });
    const second = Softnet.start(lab, lab.host, ["attach", `a-${guest.link}`, "--vm-mac-address", MAC]);
    assert.equal((await second.program.ended()).code, 1);
    assert.match(second.errors[0]!, /another softnet is attached/);
    assert.ok(await guest.ping(GATEWAY));
  });

  test("a mistake that shows late leaves the interface as it was: a control socket that cannot be made", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const namespace = lab.namespace("guest");
    const port = await makeCard(lab, "veth", { namespace, link: "vm0", mac: MAC, bridged: true });
    const args = ["--vm-mac-address", MAC, "--user", "nobody", "--control-socket", "/proc/none"];
    const softnet = Softnet.start(lab, lab.host, ["attach", port, ...args]);
    assert.equal((await softnet.program.ended()).code, 1, softnet.program.text());
    assert.equal(masterOf(lab.host, port), BRIDGE);
    namespace.ipBatch(["address add 10.77.0.21/24 dev vm0", "link set vm0 up"]);
    assert.equal((await namespace.run("ping", ["-c", "3", "-W", "2", GATEWAY])).code, 0);
  });

  test("an option before the command is not lost: one line", { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const [command, ...args] = softnetCommand(["--block", "@private", "attach", "up0", "--vm-mac-address", MAC]);
    const { code, stderr } = await lab.host.run(command!, args);
    assert.equal(code, 1);
    assert.match(stderr, /^softnet: --block: options of softnet attach stand behind it[^\n]*$/);
  });

  test("detach of what softnet has not closed: one line", { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const [command, ...args] = softnetCommand(["detach", "up0"]);
    const { code, stderr } = await lab.host.run(command!, args);
    assert.equal(code, 1);
    assert.match(stderr, /^softnet: detach up0: softnet has not closed it[^\n]*$/);
  });
});
