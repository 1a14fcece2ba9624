/**
 * Whole virtual machines: Linux in QEMU behind softnet, started with the very lines of docs/qemu.md, and QEMU's PXE ROM,
 * a DHCP client that needs no image at all. All of it is emulated.
 */
import assert from "node:assert/strict";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needs, run, type Skip, type Tool } from "../support/tools.ts";
import { Cable } from "./harness/cable.ts";
import { udhcpc } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { asBefore, hostState } from "./harness/nat.ts";
import { type Program, until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent, Softnet } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";
import { Desk, HEADLESS, KERNEL_ARGUMENTS } from "./qemu/desk.ts";
import { blocks } from "./qemu/document.ts";
import { URL, worked } from "./qemu/guest.ts";
import { initramfs } from "./qemu/initramfs.ts";
import { kernel, needsKernel } from "./qemu/kernel.ts";

const MAC = "7e:1a:00:00:00:01";
/** The host's address on its uplink. */
const UPLINK = "100.64.0.1";
const TCP = 6;
const DISCOVER = 1;
const ACK = 5;
/** A DUID with an IAID (RFC 4361), as systemd-networkd sends it: not what a ROM sends. */
const OTHER_IDENTIFIER = "ff00000001000100012a5b3c4d7e1a00000001";

function boots(...tools: readonly Tool[]): Skip & typeof LIMIT {
  return { ...needsKernel(), ...labNeeds("qemu-system-x86_64", "busybox", ...tools), ...LIMIT };
}

const messages = (softnet: Softnet): unknown[] => softnet.records.map(({ message }) => message);

test(
  "Linux in QEMU behind --vm-socket: lease, ping, TCP download; softnet ends with it",
  boots("dnsmasq"),
  async (t) => {
    const lab = Lab.open(t);
    await Promise.all([DhcpServer.start(lab, "dnsmasq"), lab.services()]);
    const desk = new Desk(lab, { url: URL });
    const [first, second] = blocks("QEMU connects to a path", "sh");
    const softnet = new Softnet(desk.paste(first!));
    await softnet.program.line(/"message":"waiting for the VM"/);
    const qemu = desk.paste(second!);
    await worked(qemu, { router: GATEWAY });
    assert.ok(!existsSync(join(desk.folder, "vm1.sock")), "the path outlived its VM's connection");
    assert.equal((await qemu.ended()).code, 0);
    assertInnocent(await softnet.ended());
    assert.ok(messages(softnet).includes("VM connected"));
  },
);

test("Linux in QEMU behind --vm-fd: lease, ping, TCP download; softnet ends with it", boots("dnsmasq"), async (t) => {
  const lab = Lab.open(t);
  await Promise.all([DhcpServer.start(lab, "dnsmasq"), lab.services()]);
  const desk = new Desk(lab, { url: URL });
  const [launcher] = blocks("QEMU inherits a descriptor", "sh");
  const both = new Softnet(desk.paste(launcher!));
  await worked(both.program, { router: GATEWAY });
  assertInnocent(await both.ended());
});

for (const side of ["--vm-socket", "--vm-fd"] as const) {
  test(
    `Linux in QEMU behind ${side} and NAT: lease from softnet itself, ping, TCP download; nothing is left`,
    boots("nft", "setpriv"),
    async (t) => {
      const lab = Lab.open(t);
      lab.host.sysctl({ "net/ipv4/ip_forward": "0" });
      await lab.services();
      const before = await hostState(lab.host);
      const uplink = await lab.watch(lab.internet, "up0");
      const desk = new Desk(lab, { url: URL });
      const { softnet, system } = await (side === "--vm-socket" ? socketAndNat(desk) : descriptorAndNat(desk));
      await softnet.ready();
      const { gateway } = softnet.records.find(({ message }) => message === "started")!;
      const address = await worked(system, { router: String(gateway) });
      await system.ended();
      assertInnocent(await softnet.ended());
      assert.equal(softnet.records.find(({ message }) => message === "binding learned")?.origin, "served");
      assert.ok(uplink.some(({ ip, sent }) => !sent && ip?.source === UPLINK && ip.protocol === TCP));
      assert.equal(
        uplink.count(({ ip }) => ip?.source === address),
        0,
        "untranslated",
      );
      await asBefore(lab.host, before);
    },
  );
}

/** The documentation's lines, with the network of softnet's own that stands there without `--bridge`. */
async function socketAndNat(desk: Desk): Promise<{ softnet: Softnet; system: Program }> {
  const [first, second] = blocks("QEMU connects to a path", "sh");
  const softnet = new Softnet(desk.paste(first!.replace("--bridge br0", `--dns ${INTERNET}`)));
  await softnet.program.line(/"message":"waiting for the VM"/);
  return { softnet, system: desk.paste(second!) };
}

async function descriptorAndNat(desk: Desk): Promise<{ softnet: Softnet; system: Program }> {
  const [launcher] = blocks("QEMU inherits a descriptor", "sh");
  const softnet = new Softnet(desk.paste(launcher!.replace('"--bridge", "br0"', `"--dns", "${INTERNET}"`)));
  return { softnet, system: softnet.program };
}

test("Linux in QEMU behind --vm-socket and before passt: no privilege in any part", boots("passt"), async (t) => {
  const lab = Lab.open(t);
  await lab.services();
  const desk = new Desk(lab, { url: URL });
  const [first, second, third] = blocks("passt: no privilege at all", "sh");
  await desk.paste(first!).line(/UNIX domain socket bound/);
  const softnet = new Softnet(desk.paste(second!));
  await softnet.program.line(/"message":"waiting for the VM"/);
  const qemu = desk.paste(third!);
  await worked(qemu, { isGatewayClosed: true });
  await qemu.ended();
  assertInnocent(await softnet.ended(), "policy.block"); // the pings to the gateway
});

test(
  "Linux in QEMU on a TAP that QEMU opened, softnet attached: lease, ping, TCP download",
  boots("dnsmasq"),
  async (t) => {
    const lab = Lab.open(t);
    await Promise.all([DhcpServer.start(lab, "dnsmasq"), lab.services()]);
    const desk = new Desk(lab, { url: URL });
    const [first, second] = blocks("QEMU", "sh", "attach.md");
    const qemu = desk.paste(first!);
    await until("QEMU has made its TAP", () => lab.host.hasLink("tap1"));
    const softnet = new Softnet(desk.paste(second!));
    await softnet.ready();
    await worked(qemu, { router: GATEWAY });
    assert.equal((await qemu.ended()).code, 0);
    assertInnocent(await softnet.ended()); // its TAP is gone
    assert.ok(messages(softnet).includes("binding learned"));
  },
);

test("the libvirt domain hands QEMU the options that the lab runs", needs("python3"), () => {
  const [domain] = blocks("libvirt", "xml");
  run("python3", "-c", "import sys, xml.dom.minidom as dom; dom.parseString(sys.argv[1])", domain!);
  const [, netdev, , device] = [...domain!.matchAll(/<qemu:arg value="([^"]*)"\/>/g)].map((match) => match[1]!);
  const [, command] = blocks("QEMU connects to a path", "sh");
  const socket = '"$XDG_RUNTIME_DIR/vm1.sock"';
  assert.ok(command!.includes(`-netdev ${netdev!.replace("/run/user/1000/vm1.sock", socket)} `));
  assert.equal(`-device ${device!}`, `${/-device \S+/.exec(command!)![0]},addr=0x10`);
});

test(
  "QEMU boots Linux over the network: its PXE ROM's lease, then the system's with another client identifier (D2)",
  boots("dnsmasq"),
  async (t) => {
    const lab = Lab.open(t);
    const folder = lab.directory;
    const linux = kernel();
    symlinkSync(linux.image, join(folder, "vmlinuz"));
    writeFileSync(join(folder, "initrd"), initramfs(linux, { url: URL, clientIdentifier: OTHER_IDENTIFIER }));
    const script = ["#!ipxe", `kernel http://${GATEWAY}/vmlinuz initrd=initrd ${KERNEL_ARGUMENTS}`];
    script.push(`initrd http://${GATEWAY}/initrd`, "boot");
    writeFileSync(join(folder, "boot.ipxe"), `${script.join("\n")}\n`);
    lab.start(lab.host, "busybox", ["httpd", "-f", "-p", `${GATEWAY}:80`, "-h", folder]);
    await Promise.all([DhcpServer.start(lab, "dnsmasq", { boot: { folder, file: "boot.ipxe" } }), lab.services()]);
    const bridge = await lab.watch(lab.host, BRIDGE);
    const cable = Cable.start(lab, lab.host, ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE], {
      vm: true,
    });
    await cable.softnet.ready();

    const machine = ["-M", "pc", "-accel", "tcg", "-m", "256", "-nodefaults", "-boot", "n", ...HEADLESS];
    const card = [
      "-netdev",
      "dgram,id=n0,local.type=fd,local.str={vm}",
      "-device",
      `virtio-net-pci,netdev=n0,mac=${MAC}`,
    ];
    await cable.run("qemu", ["qemu-system-x86_64", ...machine, ...card]);
    cable.close("vm");
    await worked(cable.softnet.program, { router: GATEWAY });
    assertInnocent(await cable.softnet.ended());

    const acknowledged = bridge.frames.filter(({ dhcp }) => dhcp?.type === ACK && dhcp.chaddr === MAC);
    assert.ok(acknowledged.length >= 2, "the ROM and the system were to get a lease each");
    assert.equal(identifiers(bridge.frames).size, 2, "the system was to use another client identifier than the ROM");
  },
);

test("QEMU's PXE ROM for e1000 gets a lease from dhcpd, then a system with another client identifier does (D2)", {
  ...labNeeds("qemu-system-x86_64", "udhcpc", "dhcpd"),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dhcpd");
  const bridge = await lab.watch(lab.host, BRIDGE);
  const args = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE];
  const cable = Cable.start(lab, lab.host, args, { vm: true });
  await cable.softnet.ready();

  const machine = ["-M", "pc", "-accel", "tcg", "-m", "64", "-nodefaults", "-boot", "n"];
  const silence = ["-display", "none", "-serial", "none", "-monitor", "none"];
  const network = ["-netdev", "dgram,id=n0,local.type=fd,local.str={vm}", "-device", `e1000,netdev=n0,mac=${MAC}`];
  await cable.run("qemu", ["qemu-system-x86_64", ...machine, ...silence, ...network]);
  await bridge.until("the ROM's lease", ({ dhcp }) => dhcp?.type === ACK && dhcp.chaddr === MAC);
  await until("softnet learns it", () => cable.softnet.records.some(({ message }) => message === "binding learned"));
  await cable.stop("qemu");

  const guest = Guest.at(lab, lab.namespace("guest"), "vm0", MAC, cable.softnet);
  const python = ["ip", "netns", "exec", guest.namespace.name, "/usr/bin/python3"];
  await cable.run("system", [...python, tool("tapfd.py"), "vm0", MAC, "{vm}"]);
  await until("the system's card", () => guest.namespace.hasLink("vm0"));
  const client = udhcpc(guest, "-x", `0x3d:${OTHER_IDENTIFIER}`);
  await client.event(/bound/);
  assert.ok(await guest.ping(INTERNET));
  assert.equal(identifiers(bridge.frames).size, 2, "the system was to use another client identifier than the ROM");
  client.program.kill();
  await cable.stop("system");
  cable.close("vm");
  assertInnocent(await cable.softnet.ended());
});

function identifiers(frames: Awaited<ReturnType<Lab["watch"]>>["frames"]): Set<string | undefined> {
  const discovers = frames.filter(({ dhcp }) => dhcp?.type === DISCOVER && dhcp.chaddr === MAC);
  return new Set(discovers.map(({ dhcp }) => dhcp?.clientIdentifier));
}
