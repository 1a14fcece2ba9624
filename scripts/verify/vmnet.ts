/** What vmnet itself does: its keys, its parameters, its event, its limits, its port forwarding. */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";
import { IPPROTO_TCP, VMNET_SHARED_MODE, VMNET_SUCCESS } from "../../src/native/darwin/vmnet.ts";
import { describeStatus } from "../../src/native/darwin/vmnet-status.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import type { VmnetNative } from "../../src/networks/vmnet/native.ts";
import { waiting } from "../../src/networks/vmnet/waiting.ts";
import { PacketDescriptors } from "../../src/ports/packet-descriptors.ts";
import { allocateSlab, type Slab } from "../../src/ports/slab.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import { put32 } from "../../src/wire/bytes.ts";
import { type Finding, failed, ok, open, type Point } from "./points.ts";

const SHORTEST = 60;
const PATIENCE = 10_000; // milliseconds
const PORT = 42_922;
/** A MAC address that nobody has: locally administered. */
const SENDER = "7e1a5e1f0001";
/** Milliseconds that a handler waits, and that frames come meanwhile and afterwards. */
const WAIT = 1500;
const FRAMES_FOR = 5000;

export function vmnetPoints(native: VmnetNative): Point[] {
  return [
    { name: "vmnet: a shared interface starts, and tells its parameters", run: () => withShared(native, parameters) },
    { name: "vmnet: the texts of its keys", run: () => open(texts(native)) },
    { name: "vmnet: the event comes again for frames that come later", run: () => withShared(native, events) },
    { name: "vmnet: frames that come while a handler waits are told of", run: () => withShared(native, whileWaiting) },
    { name: "vmnet: what a write of a bad frame among good ones answers", run: () => withShared(native, badFrames) },
    { name: "vmnet: what a write of more frames than the limit answers", run: () => withShared(native, tooMany) },
    { name: "vmnet: a port is forwarded on a shared interface", run: () => withShared(native, forwarding) },
  ];
}

interface Shared {
  readonly native: VmnetNative;
  readonly vmnet: VmnetInterface;
  /** Of 300 frames: more than any call may have. */
  readonly slab: Slab;
}

/** Starts an interface, and stops it afterwards: a stop out of order is a failure. */
async function withShared(native: VmnetNative, use: (shared: Shared) => Finding | Promise<Finding>): Promise<Finding> {
  const on = { mode: VMNET_SHARED_MODE };
  const vmnet = await VmnetInterface.start(native, { label: "verify", on, isolated: true });
  const slab = allocateSlab(vmnet.parameters.maxPacketSize, 300);
  let why: string | undefined;
  let finding: Finding;
  try {
    finding = await use({ native, vmnet, slab });
  } finally {
    why = await vmnet.stop();
    slab.free();
  }
  return why === undefined ? finding : failed(`${finding.details}\n${why}`);
}

function parameters({ vmnet: { parameters } }: Shared): Finding {
  const { gateway, mtu, maxPacketSize, readLimit, writeLimit } = parameters;
  const host = gateway === undefined ? "none" : formatIPv4(gateway);
  const details = `gateway ${host}, MTU ${mtu}, largest frame ${maxPacketSize}, read ${readLimit}, write ${writeLimit}`;
  return gateway === undefined ? failed(details) : ok(details);
}

function texts({ vmnet: { keys, networks } }: VmnetNative): string {
  const lines = Object.entries(keys).map(([name, at]) => {
    return `${name}: ${at === 0 ? "not there" : JSON.stringify(koffi.decode(BigInt(at), "char", -1))}`;
  });
  return [...lines, `networks of one's own: ${networks === undefined ? "not there" : "there"}`].join("\n");
}

/** The gateway answers ARP at once: an event must come for each answer, after all of the one before was read. */
async function events({ vmnet, slab: { batch } }: Shared): Promise<Finding> {
  const { port } = vmnet;
  const counts: number[] = [];
  let read = 0;
  port.watch({ readable: true, writable: false }, () => {
    read += port.receive(batch);
  });
  for (let round = 0; round < 3; round++) {
    read = 0;
    askGateway(vmnet, batch);
    await sleep(500);
    counts.push(read);
  }
  const details = `frames that an event told of after each of three ARP requests: ${counts.join(", ")}`;
  return counts.every((count) => count > 0) ? ok(details) : failed(details);
}

/** Sends an ARP probe for the gateway's address, which it answers at once. */
export function askGateway({ port, parameters }: VmnetInterface, batch: Batch): void {
  batch.count = 1;
  batch.offset[0] = batch.slotOffset(0);
  batch.length[0] = SHORTEST;
  batch.bytes.set(arpProbe(parameters.gateway ?? 0), batch.offset[0]);
  port.send(batch, 0);
}

/** An ARP probe for an address (RFC 5227). */
function arpProbe(address: number): Buffer {
  const head = `ffffffffffff${SENDER}0806${"0001080006040001"}${SENDER}${"00".repeat(10)}`;
  const frame = Buffer.alloc(SHORTEST);
  frame.write(head, "hex");
  frame.writeUInt32BE(address, head.length / 2);
  return frame;
}

/** The host asks in vain for an address of the network, so broadcasts arrive, one a second. */
async function whileWaiting({ vmnet: { port, parameters }, slab: { batch } }: Shared): Promise<Finding> {
  let [told, read] = [0, 0];
  port.watch({ readable: true, writable: false }, () => {
    if (told++ === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
    read += port.receive(batch);
  });
  const seconds = String(FRAMES_FOR / 1000);
  const nobody = formatIPv4((parameters.gateway ?? 0) + 200);
  const ping = spawn("/sbin/ping", ["-c", seconds, "-t", seconds, nobody], { stdio: "ignore" });
  ping.on("error", () => {}); // then nothing arrives, and that is told
  await sleep(FRAMES_FOR);
  ping.kill();
  const details = `${told} events, ${read} frames; the first handler waited ${WAIT / 1000} s`;
  return told > 1 && read > 1 ? ok(details) : failed(details);
}

/** Calls vmnet_write itself, with frames to nobody of these sizes. */
function write({ native, vmnet, slab: { batch } }: Shared, sizes: readonly number[]): string {
  const packets = new PacketDescriptors(batch);
  for (const [index, size] of sizes.entries()) {
    const at = batch.slotOffset(index);
    batch.bytes.set(Buffer.from(`7e1a5e1fffff${SENDER}88b5`, "hex"), at); // a type for experiments (IEEE 802)
    packets.set(index, at, size);
  }
  packets.count = sizes.length;
  const status = native.vmnet.vmnet_write(vmnet.address, packets.address, packets.countAddress);
  const answer = `${describeStatus(status)}, ${packets.count} of ${sizes.length} written`;
  packets.free();
  return answer;
}

function badFrames(shared: Shared): Finding {
  const good = write(shared, [SHORTEST, SHORTEST, SHORTEST]);
  const long = write(shared, [SHORTEST, shared.vmnet.parameters.maxPacketSize + 1, SHORTEST]);
  const short = write(shared, [SHORTEST, 4, SHORTEST]);
  const details = `good ones: ${good}\nthe second is too long: ${long}\nthe second has 4 bytes: ${short}`;
  return /VMNET_SUCCESS.* 3 of 3/.test(good) ? open(details) : failed(details);
}

function tooMany(shared: Shared): Finding {
  const most = shared.vmnet.parameters.writeLimit;
  const answers = [most, most + 1].map((frames) => write(shared, Array<number>(frames).fill(SHORTEST)));
  return /VMNET_SUCCESS/.test(answers[0]!) ? open(answers.join("\n")) : failed(answers.join("\n"));
}

async function forwarding({ native, vmnet }: Shared): Promise<Finding> {
  const { gateway = 0 } = vmnet.parameters;
  const added = await addRule(native, vmnet, gateway + 1);
  if (added !== VMNET_SUCCESS) return failed(`add: ${said(added)}`);
  const { remove } = native.vmnet.forwarding;
  const removed = await asked(native, (handler) => remove(vmnet.address, IPPROTO_TCP, PORT, handler));
  return removed === VMNET_SUCCESS ? ok(`port ${PORT} added and removed`) : failed(`remove: ${said(removed)}`);
}

/** Forwards a port of the host to an address of the interface's network. */
export function addRule(native: VmnetNative, vmnet: VmnetInterface, to: number): Promise<number | undefined> {
  const address = new Uint8Array(4);
  put32(address, 0, to);
  const { add } = native.vmnet.forwarding;
  return asked(native, (handler) => add(vmnet.address, IPPROTO_TCP, PORT, address, 22, handler));
}

/** The status of a call that answers through a handler; undefined when that does not come. */
async function asked(native: VmnetNative, call: (handler: number) => number): Promise<number | undefined> {
  const handled = waiting(PATIENCE);
  const status = call(native.blocks.once("value", handled.resolve));
  if (status !== VMNET_SUCCESS) handled.resolve(status);
  return await handled.promise;
}

export function said(status: number | undefined): string {
  return status === undefined ? "no answer" : describeStatus(status);
}
