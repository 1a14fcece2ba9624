/** The network `private` of macOS 26 against the stand-in for Apple's vmnet, and how its subnet is chosen. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { HostState } from "../../src/host/subnet.ts";
import { loadCoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import type { Network } from "../../src/networks/network.ts";
import { routesOf } from "../../src/networks/vmnet/mac-state.ts";
import { openPrivate, type PrivateOptions } from "../../src/networks/vmnet/private.ts";
import { VmnetError } from "../../src/networks/vmnet/vmnet-error.ts";
import { formatCidr, parseCidr } from "../../src/policy/rule.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { UserError } from "../../src/user-error.ts";
import { emitDhcp } from "../../src/wire/dhcp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { until } from "../support/running.ts";
import { assertNothingHeld, frames, inject, needsTwin, put, twin } from "../support/twin.ts";

const VM_MAC = "7e:1a:00:00:00:01";
const NOTHING: HostState = { networks: [], routes: [] };

function open(options: Partial<PrivateOptions> = {}): Promise<Network> {
  const { native, libraries } = twin();
  return openPrivate(native, () => loadCoreFoundation(libraries.coreFoundation), {
    vmMac: VM_MAC,
    isolated: true,
    system: "macOS 26.0",
    warn: (message) => assert.fail(message),
    state: NOTHING,
    questionTimeout: 1,
    ...options,
  });
}

async function opened(t: TestContext, options: Partial<PrivateOptions> = {}): Promise<Network> {
  const network = await open(options);
  t.after(() => network.close());
  return network;
}

interface NetworkDescription {
  readonly mode: number;
  readonly gateway: string;
  readonly mask: string;
  readonly dhcp: boolean;
  readonly dnsProxy: boolean;
  readonly nat44: boolean;
  readonly reservations: readonly unknown[];
  readonly rules: readonly unknown[];
}
const described = () => twin().control.describe("network") as NetworkDescription;

test(
  "a /30 with the gateway's address, without vmnet's DHCP, with the VM's address reserved and its ports",
  needsTwin(),
  async (t) => {
    const network = await opened(t, { subnet: "10.99.0.4/30", expose: "2222:22,8080:80" });
    const { mode, gateway, mask, dhcp, dnsProxy, nat44, reservations, rules } = described();
    assert.deepEqual(
      { mode, gateway, mask, dhcp, dnsProxy, nat44 },
      { mode: 1001, gateway: "10.99.0.5", mask: "255.255.255.252", dhcp: false, dnsProxy: true, nat44: true },
    );
    assert.deepEqual(reservations, [{ client: VM_MAC, address: "10.99.0.6" }]);
    assert.deepEqual(rules, [
      { protocol: 6, externalPort: 2222, internalAddress: "10.99.0.6", internalPort: 22 },
      { protocol: 6, externalPort: 8080, internalAddress: "10.99.0.6", internalPort: 80 },
    ]);
    assert.deepEqual(twin().control.describe("start"), { enable_isolation: true, network: true });
    const { label, gateway: told, dhcpServer, serves, subnet, isolated, mtu } = network;
    assert.deepEqual(
      { label, told, dhcpServer, serves, subnet, isolated, mtu },
      {
        label: "private 10.99.0.4/30",
        told: "10.99.0.5",
        dhcpServer: "10.99.0.5",
        serves: true,
        subnet: "10.99.0.4/30",
        isolated: true,
        mtu: 1500,
      },
    );
  },
);

test(
  "networks of several VMs stand side by side, each with its own subnet, and go with their VM",
  needsTwin(),
  async () => {
    const all = [await open(), await open(), await open()];
    assert.equal(new Set(all.map(({ subnet }) => subnet)).size, 3);
    assert.equal(twin().control.count("networks"), 3);
    for (const network of all) await network.close();
    assert.equal(twin().control.count("networks"), 0);
    await assertNothingHeld();
  },
);

test("a subnet that another network has is not taken: the next one is", needsTwin(), async (t) => {
  const state: HostState = {
    networks: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/17", "192.168.128.0/18", "192.168.192.0/19"].map(
      (text) => parseCidr(text)!,
    ),
    routes: [],
  };
  // Of what is left, 192.168.224.0/19, another program's network takes a part that the system does not tell us of.
  const other = await opened(t, { subnet: "192.168.224.0/30" });
  const random = t.mock.method(Math, "random", () => 0);
  const network = await opened(t, { state });
  random.mock.restore();
  assert.equal(other.subnet, "192.168.224.0/30");
  assert.equal(network.subnet, "192.168.224.4/30");
});

test("which subnet the network has is vmnet's to say: gateway, VM and DHCP follow it", needsTwin(), async (t) => {
  inject(t, "subnet shift", 8);
  const random = t.mock.method(Math, "random", () => 0);
  const network = await opened(t);
  random.mock.restore();
  const { label, gateway, dhcpServer, subnet } = network;
  assert.deepEqual(
    { label, gateway, dhcpServer, subnet },
    { label: "private 10.0.0.8/30", gateway: "10.0.0.9", dhcpServer: "10.0.0.9", subnet: "10.0.0.8/30" },
  );
  assert.deepEqual(await offeredBy(t, network), "10.0.0.10");
});

test(
  "another subnet than the user chose, or than exposed ports lead to, is refused and given back",
  needsTwin(),
  async (t) => {
    inject(t, "subnet shift", 8);
    await assert.rejects(
      open({ subnet: "10.99.0.4/30" }),
      /^UserError: --subnet 10\.99\.0\.4\/30: vmnet made 10\.99\.0\.12\/30 of it/,
    );
    await assert.rejects(
      open({ expose: "2222:22" }),
      /^UserError: vmnet made 1\S+ of the network 1\S+: leave --expose out/,
    );
    assert.equal(twin().control.count("networks"), 0);
    await assertNothingHeld();
  },
);

test("a system that wants the subnet's first address gets it", needsTwin(), async (t) => {
  inject(t, "canonical subnet", 1);
  const network = await opened(t, { subnet: "10.99.0.4/30", expose: "2222:22" });
  assert.deepEqual([network.subnet, network.gateway], ["10.99.0.4/30", "10.99.0.5"]);
});

test("what macOS takes for itself later is never chosen, but may be by the user", needsTwin(), async (t) => {
  const all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/23", "192.168.3.0/24", "192.168.4.0/22", "192.168.8.0/21"];
  const more = ["192.168.16.0/20", "192.168.32.0/19", "192.168.65.0/24", "192.168.66.0/23", "192.168.68.0/22"];
  const rest = ["192.168.72.0/21", "192.168.80.0/20", "192.168.96.0/19", "192.168.129.0/24", "192.168.130.0/23"];
  const last = ["192.168.132.0/22", "192.168.136.0/21", "192.168.144.0/20", "192.168.160.0/19", "192.168.192.0/18"];
  // All but 192.168.2.0/24, 192.168.64.0/24 and 192.168.128.0/24.
  const state: HostState = {
    networks: [...all, ...more, ...rest, ...last].map((text) => parseCidr(text)!),
    routes: [],
  };
  await assert.rejects(open({ state }), /no private \/30 is free/);
  assert.equal((await opened(t, { state, subnet: "192.168.64.4/30" })).subnet, "192.168.64.4/30");
});

test("frames as long as vmnet's longest are what a network's slabs are made for", needsTwin(), async (t) => {
  const { control } = twin();
  control.inject("max packet size", 1600);
  t.after(() => control.inject("max packet size", 1514));
  assert.equal((await opened(t)).longestFrame, 1600);
});

/** The address that a DISCOVER of the VM's is offered. */
async function offeredBy(t: TestContext, network: Network): Promise<string> {
  const { batch, free } = allocateSlab(1514);
  t.after(async () => {
    await network.close();
    free();
  });
  const discover = emitUdp(
    { source: 0, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 },
    emitDhcp({ op: 1, xid: 7, chaddr: 0x7e1a00000001, options: [[53, Uint8Array.of(1)]] }),
  );
  put(batch, [emitEthernet(0xffffffffffff, 0x7e1a00000001, 0x0800, discover)]);
  network.port.send(batch, 0);
  network.port.receive(batch);
  return [
    ...frames(batch)[0]!
      .subarray(14 + 20 + 8 + 16)
      .subarray(0, 4),
  ].join("."); // yiaddr
}

test("what the user chose is taken or refused, but never another", needsTwin(), async (t) => {
  await assert.rejects(open({ subnet: "10.99.0.0/24" }), /no subnet for a VM: give four addresses/);
  const state: HostState = { networks: [parseCidr("10.99.0.0/16")!], routes: [] };
  await assert.rejects(open({ subnet: "10.99.0.4/30", state }), /overlaps 10\.99\.0\.0\/16 of this Mac/);
  await opened(t, { subnet: "10.99.0.4/30" });
  await assert.rejects(open({ subnet: "10.99.0.4/30" }), VmnetError);
});

for (const what of ["configuration status", "network status", "configuration call"]) {
  test(`${what}: a refusal has its name, and leaves nothing`, needsTwin(), async (t) => {
    inject(t, what, 1010);
    await assert.rejects(open({ subnet: "10.99.0.4/30" }), (error) => {
      assert.ok(error instanceof VmnetError && error.status === 1010 && error.mayWantRights);
      assert.match(error.message, /network 10\.99\.0\.4\/30 cannot be made: VMNET_NOT_AUTHORIZED.*run softnet as root/);
      return true;
    });
    await assertNothingHeld();
  });
}

test("a network whose interface does not start is given back", needsTwin(), async (t) => {
  inject(t, "start status", 1009);
  await assert.rejects(open(), /VMNET_SHARING_SERVICE_BUSY/);
  assert.equal(twin().control.count("networks"), 0);
  await assertNothingHeld();
});

test("a port that something else has exposed is told with the network", needsTwin(), async (t) => {
  await opened(t, { expose: "2222:22" });
  await assert.rejects(open({ expose: "2222:22" }), /with the exposed ports 2222 cannot be made: VMNET_FAILURE/);
});

test("an older macOS names the types that it has", needsTwin(), async () => {
  const { native, libraries } = twin();
  const older = { ...native, vmnet: { ...native.vmnet, networks: undefined } };
  const opening = openPrivate(older, () => loadCoreFoundation(libraries.coreFoundation), {
    vmMac: VM_MAC,
    isolated: true,
    system: "macOS 15.6",
    warn: () => {},
  });
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /needs macOS 26 or newer, and this is macOS 15\.6: give --vm-net-type nat or host/);
    return true;
  });
});

test("the gateway is asked where it is, as the VM would; from there the DHCP server speaks", needsTwin(), async (t) => {
  const { control } = twin();
  while (control.take() !== undefined) {}
  const opening = open({ subnet: "10.99.0.4/30", questionTimeout: 10_000 });
  const asked = await until("the question", () => control.take());
  const request = Buffer.from(asked).toString("hex");
  // To all, from the VM: who has 10.99.0.5, tell 10.99.0.6.
  assert.match(request, /^ffffffffffff7e1a000000010806000108000604000\d7e1a000000010a6300060000000000000a630005/);
  const answer = (sender: string, address: string) =>
    Buffer.from(
      `7e1a00000001${sender}0806000108000604000${2}${sender}${address}7e1a000000010a630006${"00".repeat(18)}`,
      "hex",
    );
  control.deliver(answer("020000000099", "0a630009")); // somebody else's
  control.deliver(answer("0277000000aa", "0a630005"));
  const network = await opening;
  const { batch, free } = allocateSlab(1514);
  t.after(async () => {
    await network.close();
    free();
  });
  const discover = emitUdp(
    { source: 0, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 },
    emitDhcp({ op: 1, xid: 7, chaddr: 0x7e1a00000001, options: [[53, Uint8Array.of(1)]] }),
  );
  put(batch, [emitEthernet(0xffffffffffff, 0x7e1a00000001, 0x0800, discover)]);
  assert.equal(network.port.send(batch, 0), 1);
  assert.equal(network.port.receive(batch), 1);
  assert.match(frames(batch)[0]!.toString("hex"), /^7e1a000000010277000000aa0800/);
});

test("the routes of a Mac, as netstat writes them", () => {
  const text = `Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
10                 10.8.0.1           UGSc                utun4
10.8/16            10.8.0.1           UGSc                utun4
10.99.0.4/30       link#23            UC              bridge101      !
127                127.0.0.1          UCS                   lo0
127.0.0.1          127.0.0.1          UH                    lo0
169.254            link#14            UCS                   en0      !
172.16/12          10.8.0.1           UGSc                utun4
192.168.1          link#14            UCS                   en0      !
192.168.1.1/32     link#14            UCS                   en0      !
192.168.64         link#22            UC              bridge100      !
224.0.0/4          link#14            UmCS                  en0      !
255.255.255.255/32 link#14            UCS                   en0      !
`;
  assert.deepEqual(routesOf(text).map(formatCidr), [
    "10.0.0.0/8",
    "10.8.0.0/16",
    "10.99.0.4/30",
    "127.0.0.0/8",
    "127.0.0.1/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.1.0/24",
    "192.168.1.1/32",
    "192.168.64.0/24",
    "224.0.0.0/4",
    "255.255.255.255/32",
  ]);
});
