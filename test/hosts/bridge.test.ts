/** A host that shows bridged frames to Docker's chains (br_netfilter): softnet says so at start, and its command helps. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lease, noLease } from "../lab/harness/clients.ts";
import { DhcpServer } from "../lab/harness/servers.ts";
import { Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { Docker } from "./harness/firewalls.ts";
import { PrivateHost } from "./harness/private-host.ts";
import { commandOf, warnings } from "./harness/vm.ts";

const NEEDS = { ...labNeeds("nft", "udhcpc", "dnsmasq", "dockerd", "iptables"), ...LIMIT };
const SWITCH = "net/bridge/bridge-nf-call-iptables";

suite("a bridge whose frames are filtered", () => {
  test("Docker drops the VM's DHCP: one line, and with its command the VM gets a lease", NEEDS, async (t) => {
    const lab = Lab.open(t);
    lab.host.sysctl({ "net/ipv4/ip_forward": "0", [SWITCH]: "1" });
    const host = await PrivateHost.open(lab);
    await new Docker().start(host);
    await DhcpServer.start(lab, "dnsmasq", { namespace: lab.neighbour, link: "nb0" });
    const guest = await lab.guest();
    assert.ok(await noLease(guest));
    const [line, ...more] = warnings(guest);
    assert.deepEqual(more, []);
    assert.match(
      line!,
      /^Docker drops what the VM sends and answers to the VM \(chain FORWARD of the table ip filter\)/,
    );
    const other = lab.namespace("other");
    lab.host.ipBatch([`link add o0 type veth peer name o0 netns ${other.name}`, "link set o0 master br0 up"]);
    other.ipBatch(["address add 10.77.0.8/24 dev o0", "link set o0 up"]);
    await host.run(commandOf(line!));
    await lease(guest);
    assert.equal(
      await other.run("ping", ["-c", "2", "-W", "2", "10.77.0.9"]).then(({ code }) => code),
      1,
      "others pass",
    );
  });

  test("with the switch off nothing is said", NEEDS, async (t) => {
    const lab = Lab.open(t);
    lab.host.sysctl({ "net/ipv4/ip_forward": "0", [SWITCH]: "0" });
    const host = await PrivateHost.open(lab);
    await new Docker().start(host);
    await DhcpServer.start(lab, "dnsmasq", { namespace: lab.neighbour, link: "nb0" });
    const guest = await lab.guest();
    await lease(guest);
    assert.deepEqual(warnings(guest), []);
  });
});
