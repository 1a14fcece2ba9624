/**
 * Programs that make the host route for machines of their own and close nothing else, libvirt and podman: their machines
 * and the VM are online together, whoever comes first, and theirs go on when softnet has ended.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lease } from "../lab/harness/clients.ts";
import { type Guest, ping } from "../lab/harness/guest.ts";
import { natGuest } from "../lab/harness/nat.ts";
import { INTERNET, Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import type { Tool } from "../support/tools.ts";
import { PrivateHost } from "./harness/private-host.ts";
import { connects, warnings } from "./harness/vm.ts";

interface Other {
  readonly name: string;
  readonly tools: readonly Tool[];
  /** Returns whether its machine is online. */
  start(lab: Lab, host: PrivateHost): Promise<() => Promise<boolean>>;
}

const libvirt: Other = {
  name: "libvirt's default network",
  tools: ["libvirtd", "virsh", "dbus-daemon", "dnsmasq", "iptables"],
  start: async (lab, host) => {
    await host.run("dbus-daemon --system --fork --nopidfile");
    host.start("libvirtd");
    await host.until("virsh -c qemu:///system net-start default >&2");
    const machine = lab.namespace("libvirt");
    lab.host.ipBatch([
      `link add vnet0 type veth peer name eth0 netns ${machine.name}`,
      "link set vnet0 master virbr0 up",
    ]);
    machine.ipBatch([
      "address add 192.168.122.50/24 dev eth0",
      "link set eth0 up",
      "route add default via 192.168.122.1",
    ]);
    const bridge = "/sys/class/net/vnet0/brport/state";
    await host.until(`test "$(cat ${bridge})" = 3`); // its bridge has the spanning tree on: BR_STATE_FORWARDING
    return () => ping(machine, INTERNET);
  },
};

const NETWORK = {
  container_id: "1".repeat(64),
  container_name: "c",
  networks: { podman: { static_ips: ["10.88.0.2"], interface_name: "eth0" } },
  network_info: {
    podman: {
      name: "podman",
      id: "2".repeat(64),
      driver: "bridge",
      network_interface: "podman0",
      subnets: [{ subnet: "10.88.0.0/16", gateway: "10.88.0.1" }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: "host-local" },
    },
  },
};

/** What podman runs for a container's network. */
const podman: Other = {
  name: "podman's netavark",
  tools: ["netavark", "iptables"],
  start: async (_lab, host) => {
    await host.run("touch /run/netns/c && unshare --net=/run/netns/c true");
    const setUp = "/usr/lib/podman/netavark --config /run/netavark setup /run/netns/c";
    await host.run(`${setUp} <<'END'\n${JSON.stringify(NETWORK)}\nEND`);
    const command = `nsenter --net=/run/netns/c ping -n -q -c 3 -i 0.2 -W 2 ${INTERNET}`;
    return async () => (await host.attempt(command)).code === 0;
  },
};

async function assertOnline(guest: Guest, isOnline: () => Promise<boolean>): Promise<void> {
  assert.ok(await connects(guest.namespace, INTERNET, 80), "the VM is offline");
  assert.ok(await isOnline(), "the other's machine is offline");
  assert.deepEqual(warnings(guest), []);
}

suite("programs that route for machines of their own", () => {
  for (const other of [libvirt, podman]) {
    const needs = { ...labNeeds("nft", "udhcpc", ...other.tools), ...LIMIT };
    for (const first of ["softnet", other.name]) {
      test(`${other.name} and softnet, ${first} first`, needs, async (t) => {
        const lab = Lab.open(t);
        lab.host.sysctl({ "net/ipv4/ip_forward": "0" });
        await lab.services();
        const host = await PrivateHost.open(lab);
        let isOnline = first === "softnet" ? undefined : await other.start(lab, host);
        const guest = await natGuest(lab);
        await lease(guest);
        isOnline ??= await other.start(lab, host);
        await assertOnline(guest, isOnline);
        await guest.stop();
        assert.ok(await isOnline(), "the other's machine is offline after softnet");
      });
    }
  }
});
