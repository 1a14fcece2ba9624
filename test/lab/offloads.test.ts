/**
 * Large frames and partial checksums between two TAPs: with them and without, on a bridge and on a network of the VM's own,
 * and for guests whose cards have any combination of offloads.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { setFeatures } from "./harness/features.ts";
import { largeFrames, transfer } from "./harness/large-frames.ts";
import { natGuest, tapOf } from "./harness/nat.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { DNS_SERVER, GATEWAY, INTERNET, Lab, labNeeds, NAME_ADDRESS, tool } from "./harness/topology.ts";
import type { Feature } from "./tools/features.ts";

/** The other end of the host's uplink. */
const UPLINK_INTERNET = "100.64.0.2";
const PYTHON = "/usr/bin/python3";
const MEGABYTE = 1 << 20;

const OFFLOADS = [
  { how: "with offloads", args: [], large: true },
  { how: "without offloads", args: ["--no-offloads"], large: false },
] as const;

function assertLarge(path: string, large: boolean): void {
  const { egress, ingress } = largeFrames(path);
  if (large) assert.ok(egress > 100 && ingress > 20, `large frames: ${egress} from the VM, ${ingress} to it`);
  else assert.deepEqual({ egress, ingress }, { egress: 0, ingress: 0 });
}

/** Each combination of four of them, turned off. */
function combinations(): Partial<Record<Feature, boolean>>[] {
  const features: readonly Feature[] = ["tx", "tso", "gso", "gro"];
  return Array.from({ length: 2 ** features.length }, (_, bits) =>
    Object.fromEntries(features.map((feature, index) => [feature, ((bits >>> index) & 1) === 0])),
  );
}

suite("offloads", { concurrency: 1 }, () => {
  for (const { how, args, large } of OFFLOADS) {
    test(`bridge, ${how}: a lease from the host, DNS, and transfers both ways`, {
      ...labNeeds("udhcpc", "dnsmasq"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, "dnsmasq");
      await lab.services();
      const capture = join(lab.directory, "bridge.pcapng");
      const guest = await lab.guest({ args: [...args, "--capture", capture] });
      await lease(guest);
      assert.equal(await guest.resolve(DNS_SERVER, "udp"), NAME_ADDRESS);
      assert.equal(await guest.resolve(DNS_SERVER, "tcp"), NAME_ADDRESS);
      await transfer(guest, 8 * MEGABYTE);
      assertInnocent(await guest.stop());
      assertLarge(capture, large);
    });

    test(`nat, ${how}: a lease from softnet, DNS, and transfers both ways`, {
      ...labNeeds("udhcpc", "nft"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      const capture = join(lab.directory, "nat.pcapng");
      const guest = await natGuest(lab, [...args, "--capture", capture]);
      await lease(guest);
      assert.equal(await guest.resolve(INTERNET, "udp"), NAME_ADDRESS);
      await transfer(guest, 8 * MEGABYTE);
      assertInnocent(await guest.stop());
      assertLarge(capture, large);
    });
  }

  test("a guest's card may have any of its offloads turned off", {
    ...labNeeds("udhcpc", "dnsmasq", "nft"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await lab.services();
    await DhcpServer.start(lab, "dnsmasq");
    const guests = [await lab.guest(), await natGuest(lab)];
    for (const guest of guests) {
      await lease(guest);
      for (const settings of combinations()) {
        const on = await setFeatures(guest.namespace, guest.link, settings);
        await t.test(`${guest.link}: ${on.join(" ")}`, () => transfer(guest, MEGABYTE));
      }
      assertInnocent(await guest.stop());
    }
  });

  test("UDP that a guest sends in segments arrives as datagrams, each whole and in order", {
    ...labNeeds("nft", "udhcpc"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const counter = lab.start(lab.internet, PYTHON, [tool("segments.py"), "count", INTERNET, "7000"]);
    await counter.line(/^ready$/);
    const capture = join(lab.directory, "segments.pcapng");
    const guest = await natGuest(lab, ["--capture", capture]);
    await lease(guest);
    const { code, stderr } = await guest.namespace.run(PYTHON, [
      tool("segments.py"),
      "send",
      INTERNET,
      "7000",
      "1200",
      "40",
    ]);
    assert.equal(code, 0, stderr);
    await counter.line(/^got 1200 0027$/);
    const expected = Array.from({ length: 40 }, (_, index) => `got 1200 ${index.toString(16).padStart(4, "0")}`);
    assert.deepEqual(
      counter.stdout.filter((line) => line.startsWith("got")),
      expected,
    );
    assertInnocent(await guest.stop());
    // One frame, where the kernel leaves this to us (Linux 6.2 and later), else forty.
    const frames = [...openCapture(capture)].filter(({ bytes }) => bytes.length > 1200);
    assert.ok(frames.length === 40 || (frames.length === 1 && frames[0]!.comment === "offload UDP 1200"));
    t.diagnostic(`${frames.length} frames`);
  });

  test("what a guest's tunnel carries passes, whose checksums are not where TCP's and UDP's own are", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const [here, there] = ["10.77.0.77", UPLINK_INTERNET];
    const guest = await lab.guest({
      args: ["--vm-ip-address", here, "--gateway", GATEWAY, "--allow", `${there}/32`],
      address: `${here}/24`,
    });
    for (const [namespace, remote, own] of [
      [guest.namespace, there, "10.200.0.1/24"],
      [lab.internet, here, "10.200.0.2/24"],
    ] as const) {
      namespace.ip("link", "add", "tunnel", "type", "vxlan", "id", "5", "remote", remote, "dstport", "4789");
      namespace.ip("address", "add", own, "dev", "tunnel");
      namespace.ip("link", "set", "tunnel", "up");
    }
    const server = lab.start(lab.internet, process.execPath, [tool("services.ts"), "--http", "10.200.0.2"]);
    await server.line(/^ready$/);
    await transfer(guest, MEGABYTE, "10.200.0.2");
    assertInnocent(await guest.stop());
  });

  test("with the features of the TAP on the host turned off, transfers go on", {
    ...labNeeds("udhcpc", "nft"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await lab.services();
    const guest = await natGuest(lab);
    await lease(guest);
    await setFeatures(lab.host, tapOf(guest), { tx: false, tso: false, gso: false });
    await transfer(guest, MEGABYTE);
    assertInnocent(await guest.stop());
  });
});
