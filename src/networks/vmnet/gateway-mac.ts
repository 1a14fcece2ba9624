/**
 * The gateway's MAC address on a network of softnet's own: vmnet does not tell it, so softnet asks as the VM would (ARP).
 * From there its DHCP server speaks, and the guard, which has seen the VM's address come from there, lets the gateway
 * speak first: a connection to an exposed port finds a VM that has never asked for its gateway.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Batch } from "../../relay/batch.ts";
import type { FramePort } from "../../relay/port.ts";
import { BROADCAST_MAC } from "../../wire/address.ts";
import { ARP_REPLY, ARP_REQUEST, emitArp } from "../../wire/arp.ts";
import { emitEthernet, TYPE_ARP } from "../../wire/ethernet.ts";
import { FrameView } from "../../wire/frame-view.ts";
import { SOUND } from "../../wire/malformed.ts";

/** Milliseconds between two looks for an answer. */
const LOOK = 5;

export interface Question {
  readonly vmMac: number;
  readonly vmAddress: number;
  readonly gateway: number;
  /** Milliseconds until the question is asked again; the third silence is an answer too. */
  readonly timeout: number;
}

/** Returns undefined when no answer comes. Overwrites the batch; no relay may run on this port yet. */
export async function askGatewayMac(port: FramePort, batch: Batch, question: Question): Promise<number | undefined> {
  const { vmMac, vmAddress, gateway, timeout } = question;
  const packet = emitArp({
    operation: ARP_REQUEST,
    senderHardware: vmMac,
    senderProtocol: vmAddress,
    targetHardware: 0,
    targetProtocol: gateway,
  });
  const request = emitEthernet(BROADCAST_MAC, vmMac, TYPE_ARP, packet);
  for (let tries = 0; tries < 3; tries++) {
    batch.count = 1;
    batch.offset[0] = batch.slotOffset(0);
    batch.length[0] = request.length;
    batch.bytes.set(request, batch.offset[0]);
    port.send(batch, 0);
    const deadline = performance.now() + timeout;
    do {
      await sleep(LOOK);
      const mac = findAnswer(port, batch, gateway);
      if (mac !== undefined) return mac;
    } while (performance.now() < deadline);
  }
  return undefined;
}

function findAnswer(port: FramePort, batch: Batch, gateway: number): number | undefined {
  port.receive(batch);
  const { bytes, offset, length, count } = batch;
  const view = new FrameView();
  for (let index = 0; index < count; index++) {
    view.read(bytes, offset[index], length[index]);
    if (view.type !== TYPE_ARP || view.malformed !== SOUND || view.arpOperation !== ARP_REPLY) continue;
    if (view.senderProtocol === gateway) return view.senderHardware;
  }
  return undefined;
}
