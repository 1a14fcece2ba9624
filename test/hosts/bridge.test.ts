/** A host that shows bridged frames to Docker's chains (br_netfilter): softnet says so at start, and its command helps. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lease, noLease } from "../lab/harness/clients.ts";
import { ping } from "../lab/harness/guest.ts";
import { dnsmasq6, online, openLab6 } from "../lab/harness/ipv6.ts";
import { until } from "../lab/harness/program.ts";
import { DhcpServer } from "../lab/harness/servers.ts";
import { Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { Docker } from "./harness/firewalls.ts";
import { PrivateHost } from "./harness/private-host.ts";
import { commandOf, warnings } from "./harness/vm.ts";

const NEEDS = { ...labNeeds("nft", "udhcpc", "dnsmasq", "dockerd", "iptables"), ...LIMIT };
const SWITCH = "net/bridge/bridge-nf-call-iptables";
const SWITCH_6 = "net/bridge/bridge-nf-call-ip6tables";

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

  test("ip6tables drops IPv6 between the bridge's ports: one line, and with its command the VM reaches them", {
    ...labNeeds("nft", "dnsmasq", "iptables"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab6(t);
    lab.host.sysctl({ [SWITCH]: "1", [SWITCH_6]: "1" });
    const host = await PrivateHost.open(lab);
    await dnsmasq6(lab);
    // The neighbour is another port of the bridge, which the host's own advertisements do not pass.
    await host.run("ip6tables -P FORWARD DROP");
    const guest = await lab.guest({ bare: false, args: ["--ipv6", "--allow", "0.0.0.0/0,::/0"] });
    const [line, ...more] = warnings(guest);
    assert.deepEqual(more, []);
    assert.match(
      line!,
      /^iptables drops what the VM sends by IPv6 and answers to the VM by IPv6 \(chain FORWARD of the table ip6/,
    );
    await online(guest.namespace, guest.link);
    const neighbour = await online(lab.neighbour, "nb0");
    assert.equal(await ping(guest.namespace, neighbour), false);
    await host.run(commandOf(line!));
    await until("the neighbour replies", () => ping(guest.namespace, neighbour));
    const other = await lab.guest({ bare: false });
    assert.deepEqual(warnings(other), [], "without --ipv6 nothing is said of it");
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
