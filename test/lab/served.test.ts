/**
 * The built-in DHCP server with the clients that systems come with: udhcpc and dhclient in a namespace whose only way out
 * is a private network for one VM (tools/serve.ts). A watcher on the gateway's side sees that no DHCP gets there.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dhclient, lease, udhcpc } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { until } from "./harness/program.ts";
import { assertInnocent, Softnet } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";
import type { Watch } from "./harness/watch.ts";

const GATEWAY = "10.79.0.1";
const OWN = "10.79.0.2";
const DNS = "192.0.2.53";
const FOREVER = 0xffffffff;

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly gateway: Watch;
}

let created = 0;

async function setUp(t: Parameters<typeof Lab.open>[0]): Promise<Scene> {
  const lab = Lab.open(t);
  const link = `own${++created}`;
  const mac = `7e:1a:00:00:79:${created.toString(16).padStart(2, "0")}`;
  const args = [tool("serve.ts"), link, mac, "gw0", "10.79.0", DNS];
  const softnet = new Softnet(lab.start(lab.host, process.execPath, args, { label: "serve" }));
  await softnet.ready();
  const namespace = lab.namespace(link);
  lab.host.ip("link", "set", link, "netns", namespace.name);
  const gateway = await lab.watch(lab.host, "gw0");
  namespace.ip("link", "set", link, "up");
  return { lab, guest: Guest.at(lab, namespace, link, mac, softnet), gateway };
}

async function assertOnline(guest: Guest): Promise<void> {
  assert.deepEqual(guest.addresses(), [OWN]);
  assert.ok(await guest.ping(GATEWAY), "the gateway does not answer");
  assert.ok(await guest.ping(INTERNET), "the internet does not answer");
}

/** Ends the scene: the guest lost nothing to the guard, the binding was served, and nobody else saw its DHCP. */
async function assertServed({ guest, gateway }: Scene): Promise<void> {
  assertInnocent(await guest.stop());
  assert.equal(
    gateway.count(({ dhcp, udp }) => dhcp !== undefined || udp?.destination === 67),
    0,
  );
  const origins = bindings(guest).map(({ origin }) => origin);
  assert.deepEqual([...new Set(origins)], ["served"]);
}

function bindings(guest: Guest): { kind: unknown; address: unknown; origin: unknown }[] {
  const records = guest.softnet!.records.filter(({ message }) => message === "binding");
  return records.map(({ kind, address, origin }) => ({ kind, address, origin }));
}

suite("the built-in DHCP server", SIDE_BY_SIDE, () => {
  for (const [what, args] of [
    ["udhcpc", []],
    ["udhcpc -B, which asks for broadcast answers (D12)", ["-B"]],
    ["udhcpc -a, which probes its address before it takes it (A5)", ["-a"]],
    ["udhcpc -C, without a client identifier", ["-C"]],
    ["udhcpc -r, which wishes another address", ["-r", "10.0.0.9"]],
  ] as const) {
    test(`${what} gets a lease without end and is online`, { ...labNeeds("udhcpc"), ...LIMIT }, async (t) => {
      const scene = await setUp(t);
      const bound = await lease(scene.guest, ...args);
      assert.deepEqual(bound, {
        event: "bound",
        address: OWN,
        router: GATEWAY,
        dns: DNS,
        lease: FOREVER,
        server: GATEWAY,
      });
      await assertOnline(scene.guest);
      await assertServed(scene);
    });
  }

  test("udhcpc renews, gives its lease back, and gets it again", { ...labNeeds("udhcpc"), ...LIMIT }, async (t) => {
    const scene = await setUp(t);
    const { guest } = scene;
    const client = udhcpc(guest, "-R");
    await client.event(/bound/);
    client.program.signal("SIGUSR1");
    await client.event(/renew/);
    await assertOnline(guest);
    await client.program.stop("SIGTERM");
    const kinds = (): string =>
      bindings(guest)
        .map(({ kind }) => kind)
        .join(" ");
    await until("the RELEASE", () => kinds().endsWith("lost"));
    assert.match(kinds(), /^learned( renewed)+ lost$/); // a client on a busy machine asks twice before it hears the answer
    await lease(guest);
    await assertOnline(guest);
    await assertServed(scene);
  });

  test("udhcpc -a declines while another uses its address, and is offered the same again (D4)", {
    ...labNeeds("udhcpc"),
    ...LIMIT,
  }, async (t) => {
    const scene = await setUp(t);
    const { guest, lab } = scene;
    lab.host.ip("address", "add", `${OWN}/32`, "dev", "gw0"); // its kernel answers the guest's probe
    const client = udhcpc(guest, "-q", "-a");
    await client.program.line(/declin/i);
    lab.host.ip("address", "delete", `${OWN}/32`, "dev", "gw0");
    const bound = await client.event(/bound/);
    assert.equal(bound.address, OWN);
    await client.program.ended();
    await assertOnline(guest);
    await assertServed(scene);
  });

  test("dhclient gets a lease, reboots with it (INIT-REBOOT) and gives it back", {
    ...labNeeds("dhclient"),
    ...LIMIT,
  }, async (t) => {
    const scene = await setUp(t);
    const { guest } = scene;
    const first = dhclient(guest);
    const bound = await first.event(/BOUND/);
    assert.deepEqual([bound.address, bound.router, bound.dns, bound.lease], [OWN, GATEWAY, DNS, FOREVER]);
    const told = await first.program.line(/^bound to/); // the lease is in its file now
    assert.ok(Number(/renewal in (\d+) seconds/.exec(told)?.[1]) > 1e9, told); // it knows what "for ever" means
    await assertOnline(guest);

    await first.program.stop("SIGKILL");
    guest.namespace.ip("address", "flush", "dev", guest.link);
    const second = dhclient(guest);
    assert.equal((await second.event(/REBOOT/)).address, OWN);
    await assertOnline(guest);

    await second.program.stop("SIGKILL");
    await dhclient(guest, "-r").event(/RELEASE/);
    await until("the RELEASE", () => bindings(guest).some(({ kind }) => kind === "lost"));
    await assertServed(scene);
  });

  test("dhclient that reboots with another network's address is refused, and asks anew", {
    ...labNeeds("dhclient"),
    ...LIMIT,
  }, async (t) => {
    const scene = await setUp(t);
    const { guest } = scene;
    writeFileSync(
      guest.leaseFile,
      `lease {\n  interface "${guest.link}";\n  fixed-address 10.0.0.9;\n  option subnet-mask 255.255.255.0;\n` +
        "  option dhcp-message-type 5;\n  option dhcp-server-identifier 10.0.0.1;\n  option dhcp-lease-time 864000;\n" +
        "  renew never;\n  rebind never;\n  expire never;\n}\n",
    );
    const client = dhclient(guest);
    await client.program.line(/DHCPNAK/);
    assert.equal((await client.event(/BOUND/)).address, OWN);
    await assertOnline(guest);
    await assertServed(scene);
  });
});
