/** Attached VMs among others: marks that host programs set, running downloads, a lost helper, kernels without tcx, QEMU. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest, CARDS, makeCard, masterOf } from "./harness/attached.ts";
import { lease } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { attachedNatGuest, helperOf } from "./harness/nat.ts";
import { sleep } from "./harness/program.ts";
import { Softnet } from "./harness/softnet.ts";
import { BRIDGE, BRIDGE_MAC, GATEWAY, INTERNET, Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const ONE = "10.77.0.21";
const OTHER = "10.77.0.22";
const PYTHON = "/usr/bin/python3";
/** None; those with which softnet's TAPs on a bridge tell open ports from isolated ones; all bits. */
const MARKS = ["0", "0x10000000", "0x20000000", "0x30000000", "0xffffffff", "1"];
const SLOW = 32 << 20;

suite("attached, among others", SIDE_BY_SIDE, () => {
  for (const [what, args] of [
    ["isolated", ["--block", "in 10.77.0.16/28"]],
    ["that allow everything but each other", ["--allow", "0.0.0.0/0", "--block", "10.77.0.16/28,in 10.77.0.16/28"]],
  ] as const) {
    test(`two attached VMs on one bridge, ${what}: no packet from one to the other, and no mark of a host program passes`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const one = await attachedGuest(lab, ONE, "veth", args);
      const other = await attachedGuest(lab, OTHER, "tap-offloads", args);
      const card = await lab.watch(other.namespace, other.link);
      assert.ok(await one.ping(INTERNET));
      assert.ok(await other.ping(INTERNET));
      one.namespace.ip("neighbour", "replace", OTHER, "lladdr", other.mac, "dev", one.link);
      assert.equal(await one.ping(OTHER, 2), false);
      // From the host's own bridge, where the guard denies it, and at the VM's interface itself, as root may send.
      for (const link of [BRIDGE, other.port]) {
        const send = [tool("marked.py"), link, one.mac, other.mac, ONE, OTHER, ...MARKS];
        await lab.start(lab.host, PYTHON, send).line(/^sent$/);
      }
      const vmm = [tool("marked.py"), one.link, one.mac, other.mac, ONE, OTHER, ...MARKS];
      await one.start(PYTHON, vmm).line(/^sent$/);
      await sleep(1_000);
      assert.equal(
        card.count(({ source, sent, ip }) => !sent && source === one.mac && ip !== undefined),
        0,
      );
      assert.ok(await other.ping(INTERNET));
    });
  }

  test("two attached VMs behind nat do not reach each other; both reach the internet", {
    ...labNeeds("nft", "udhcpc"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guests: Guest[] = [];
    for (const [link, mac, card] of [
      ["n1", "7e:1a:00:00:01:81", "veth"],
      ["n2", "7e:1a:00:00:01:82", "tap"],
    ] as const) {
      const guest = await attachedNatGuest(lab, card, { link, mac, args: ["--dns", INTERNET] });
      await lease(guest);
      assert.ok(await guest.ping(INTERNET));
      guests.push(guest);
    }
    const [one, other] = guests as [Guest, Guest];
    const [address] = other.addresses();
    assert.equal(await one.ping(address!, 2), false);
    const mark = [tool("marked.py"), "a-n2", one.mac, other.mac, "9.9.9.9", address!, ...MARKS];
    const card = await lab.watch(other.namespace, other.link);
    await lab.start(lab.host, PYTHON, mark).line(/^sent$/);
    await sleep(500);
    assert.equal(
      card.count(({ sent, source }) => !sent && source === one.mac),
      0,
    );
    for (const guest of guests) assert.deepEqual((await guest.stop()).exit, { code: 0, signal: null });
  });

  for (const card of CARDS) {
    test(`${card}: attached in the middle of a TCP download, which goes on`, { ...labNeeds(), ...LIMIT }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      const namespace = lab.namespace("guest");
      const mac = "7e:1a:00:00:00:91";
      const port = await makeCard(lab, card, { namespace, link: "vm0", mac, bridged: true });
      namespace.ipBatch([`address add ${ONE}/24 dev vm0`, "link set vm0 up", `route add default via ${GATEWAY}`]);
      const download = lab.start(namespace, PYTHON, [tool("slow_download.py"), INTERNET, String(SLOW)], {
        input: true,
      });
      await download.line(/^begun$/);
      const args = ["--vm-mac-address", mac, "--vm-ip-address", ONE, "--gateway", GATEWAY];
      const softnet = Softnet.start(lab, lab.host, ["attach", port, ...args]);
      await softnet.ready();
      assert.equal(download.exit, undefined, "the download was over before");
      download.write("go\n");
      await download.line(new RegExp(`^${SLOW}$`));
      const { exit } = await softnet.stop();
      assert.deepEqual(exit, { code: 0, signal: null });
    });
  }

  test("the helper is killed: softnet says so and goes on, and what it leaves is closed", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ONE, "veth", ["--open-on-exit"]);
    process.kill(helperOf(lab.host)!, "SIGKILL");
    await guest.softnet!.program.line(/helper has ended: the attached interface can no longer be put back/);
    assert.ok(await guest.ping(GATEWAY));
    const seen = await lab.watch(lab.neighbour, "nb0");
    lab.host.ip("link", "set", guest.port, "master", BRIDGE);
    assert.equal(await guest.ping("10.77.0.9", 2), false);
    assert.ok(await guest.ping(GATEWAY));
    lab.host.ip("link", "set", guest.port, "nomaster");
    await guest.stop();
    assert.equal(await guest.ping(GATEWAY, 1), false);
    assert.equal(masterOf(lab.host, guest.port), undefined);
    assert.equal(
      seen.count(({ ip }) => ip?.source === ONE),
      0,
    );
  });

  test("30 s of SIGSTOP under a flood: nothing passes, and it goes on", { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ONE);
    assert.ok(await guest.ping(GATEWAY));
    const seen = await lab.watch(lab.host, BRIDGE);
    guest.softnet!.program.signal("SIGSTOP");
    const flood = [tool("flood.py"), guest.link, "1000", GATEWAY, OTHER, "1.1.1.1", BRIDGE_MAC];
    const flooding = guest.start(PYTHON, flood);
    await sleep(30_000);
    flooding.kill();
    const before = seen.count(({ source }) => source === guest.mac);
    assert.equal(before, 0);
    guest.softnet!.program.signal("SIGCONT");
    assert.ok(await guest.ping(GATEWAY));
    assert.equal(
      seen.count(({ ip }) => ip?.source === OTHER),
      0,
    );
  });

  test("the interface is deleted under load: softnet ends in order, nothing forged passed", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ONE);
    const seen = await lab.watch(lab.neighbour, "nb0");
    const flood = [tool("flood.py"), guest.link, "1000", GATEWAY, OTHER, "1.1.1.1", BRIDGE_MAC];
    await guest.start(PYTHON, flood).line(/^sent 1000$/);
    lab.host.ip("link", "delete", guest.port);
    assert.deepEqual((await guest.softnet!.ended()).exit, { code: 0, signal: null });
    assert.equal(
      seen.count(({ ip, arp }) => ip?.source === OTHER || arp?.sender === GATEWAY),
      0,
    );
  });

  for (const [what, command] of [
    ["the queueing discipline is removed", ["tc", "qdisc", "del", "dev", "PORT", "clsact"]],
    ["a filter is deleted", ["tc", "filter", "del", "dev", "PORT", "egress"]],
  ] as const) {
    test(`on a kernel without tcx, ${what}: softnet ends with one line, and the interface is closed`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const { lab, guest, softnet, port } = await withoutTcx(Lab.open(t));
      assert.ok(await guest.ping(GATEWAY));
      assert.equal(await guest.ping("10.77.0.9", 1), false);
      const [program, ...args] = command.map((word) => (word === "PORT" ? port : word));
      const { code, stderr } = await lab.host.run(program!, args);
      assert.equal(code, 0, stderr);
      const { exit } = await softnet.ended();
      assert.equal(exit.code, 1);
      const errors = softnet.records.filter(({ level }) => level === "error");
      assert.equal(errors.length, 1);
      assert.match(String(errors[0]!.message), new RegExp(`programs were taken away from ${port}`));
      const internet = await lab.watch(lab.internet, "up0");
      assert.equal(await guest.ping(GATEWAY, 1), false);
      assert.equal(
        internet.count(({ ip }) => ip?.source === ONE),
        0,
      );
    });
  }

  test("on a kernel without tcx: killed it stays closed, and --open-on-exit puts it back", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, softnet, port } = await withoutTcx(Lab.open(t));
    softnet.program.kill();
    await softnet.program.ended();
    assert.equal(await guest.ping(GATEWAY, 1), false);
    const next = startWithoutTcx(lab, port, guest.mac, "open");
    await next.ready();
    assert.ok(await guest.ping(GATEWAY));
    await next.stop();
    assert.equal(masterOf(lab.host, port), BRIDGE);
    assert.ok(await guest.ping("10.77.0.9"));
    assert.doesNotMatch(await tc(lab, "qdisc", "show", "dev", port), /clsact/, "nothing is left there");
  });

  test("on a kernel without tcx: a queueing discipline that was there, or has a filter of another's, stays", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, softnet, port } = await withoutTcx(Lab.open(t));
    await tc(lab, "filter", "add", "dev", port, "ingress", "prio", "7", "bpf", "bytecode", "1,6 0 0 0");
    await softnet.stop();
    const again = async (): Promise<void> => {
      const next = startWithoutTcx(lab, port, guest.mac, "open");
      await next.ready();
      await next.stop();
    };
    await again();
    assert.match(await tc(lab, "filter", "show", "dev", port, "ingress"), /bytecode/);
    await tc(lab, "filter", "del", "dev", port, "ingress");
    await again();
    assert.match(await tc(lab, "qdisc", "show", "dev", port), /clsact/, "it was there before");
  });
});

async function tc(lab: Lab, ...args: readonly string[]): Promise<string> {
  return (await lab.host.run("tc", args)).stdout;
}

function startWithoutTcx(lab: Lab, port: string, mac: string, more = ""): Softnet {
  const args = [tool("softnet-without-tcx.ts"), port, mac, ONE, GATEWAY, more];
  return new Softnet(lab.start(lab.host, process.execPath, args, { label: "softnet" }));
}

async function withoutTcx(lab: Lab): Promise<{ lab: Lab; guest: Guest; softnet: Softnet; port: string }> {
  const namespace = lab.namespace("guest");
  const mac = "7e:1a:00:00:00:92";
  const port = await makeCard(lab, "veth", { namespace, link: "vm0", mac, bridged: true });
  namespace.ipBatch([`address add ${ONE}/24 dev vm0`, "link set vm0 up", `route add default via ${GATEWAY}`]);
  const softnet = startWithoutTcx(lab, port, mac);
  await softnet.ready();
  return { lab, guest: Guest.at(lab, namespace, "vm0", mac, softnet), softnet, port };
}
