/**
 * A vmnet interface from its start to its stop. Each ends with a handler that vmnet calls on a thread of its own; koffi
 * hands it to the event loop, while that thread waits (native/darwin/blocks.ts). So nothing here waits without letting
 * the event loop turn, and one serial queue takes all handlers: a handler that waits holds back those behind it.
 *
 * The stop, in this order:
 * 1. the port is not used any more, and what vmnet has called by now has run;
 * 2. the event callback is taken off, and what it was just doing has run;
 * 3. vmnet_stop_interface;
 * 4. once its handler has come, and not before, memory and queue are given back.
 *
 * A handler that never comes costs a wait, and the memory: the process ends soon, and then macOS cleans up.
 */

import { setImmediate as turn } from "node:timers/promises";
import { VMNET_INTERFACE_PACKETS_AVAILABLE, VMNET_SUCCESS } from "../../native/darwin/vmnet.ts";
import { describeStatus } from "../../native/darwin/vmnet-status.ts";
import { type Cidr, subnetOf } from "../../policy/rule.ts";
import { VmnetPort } from "../../ports/vmnet.ts";
import { UserError } from "../../user-error.ts";
import { parseIPv4 } from "../../wire/address.ts";
import { ETHERNET_HEADER } from "../../wire/ethernet.ts";
import { DEFAULT_MTU } from "../network.ts";
import type { VmnetNative } from "./native.ts";
import { VmnetError } from "./vmnet-error.ts";
import { waiting } from "./waiting.ts";

/** Milliseconds that the start may take: macOS may have to start a service and a bridge first. */
const START_TIMEOUT = 30_000;
/** Milliseconds that the stop may take: whoever asked softnet to end waits for it. */
const STOP_TIMEOUT = 5_000;

/** Frames of one call where the interface does not tell: before macOS 15 (Apple's documentation of vmnet). */
const DOCUMENTED_LIMIT = 200;

export interface InterfaceOptions {
  /** What people call it. */
  readonly label: string;
  /** VMNET_SHARED_MODE or VMNET_HOST_MODE; or the address of a network of softnet's own. */
  readonly on: { readonly mode: number } | { readonly network: number };
  /** Whether the interface is kept apart from others of the same network. */
  readonly isolated: boolean;
  /** Milliseconds; for tests. */
  readonly startTimeout?: number;
  readonly stopTimeout?: number;
}

/** What vmnet says of the interface that it has started. */
export interface InterfaceParameters {
  /** The gateway, and DHCP server: the host's own address on the network. */
  readonly gateway: number | undefined;
  readonly subnet: Cidr | undefined;
  /** Bytes. */
  readonly mtu: number;
  readonly maxPacketSize: number;
  readonly readLimit: number;
  readonly writeLimit: number;
}

export class VmnetInterface {
  readonly parameters: InterfaceParameters;
  readonly port: VmnetPort;
  /** Address of the interface, for calls about it. */
  readonly address: number;
  readonly #native: VmnetNative;
  readonly #queue: number;
  readonly #timeout: number;
  #stopped: Promise<string | undefined> | undefined;

  private constructor(
    native: VmnetNative,
    options: InterfaceOptions,
    started: { readonly address: number; readonly queue: number; readonly parameters: InterfaceParameters },
  ) {
    const { address, queue, parameters } = started;
    this.#native = native;
    this.#queue = queue;
    this.#timeout = options.stopTimeout ?? STOP_TIMEOUT;
    this.address = address;
    this.parameters = parameters;
    this.port = new VmnetPort(native.vmnet, { vmnetInterface: address, label: options.label, ...parameters });
  }

  /** Throws VmnetError, or UserError when vmnet does not answer. */
  static async start(native: VmnetNative, options: InterfaceOptions): Promise<VmnetInterface> {
    const { vmnet, dispatch } = native;
    const queue = dispatch.dispatch_queue_create("softnet.vmnet", 0);
    const started = await start(native, options, queue);
    const vmnetInterface = new VmnetInterface(native, options, { ...started, queue });
    const { port } = vmnetInterface;
    const status = vmnet.vmnet_interface_set_event_callback(
      started.address,
      VMNET_INTERFACE_PACKETS_AVAILABLE,
      queue,
      native.blocks.lasting("value and object", () => port.arrived()),
    );
    if (status === VMNET_SUCCESS) return vmnetInterface;
    await vmnetInterface.stop();
    throw new VmnetError(`${options.label} tells of no frames`, status);
  }

  /** Ends it; returns what went wrong with that, if anything did. The same answer when called again. */
  stop(): Promise<string | undefined> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<string | undefined> {
    const { vmnet, blocks } = this.#native;
    this.port.close();
    await turn();
    vmnet.vmnet_interface_set_event_callback(this.address, VMNET_INTERFACE_PACKETS_AVAILABLE, 0, 0);
    await turn();
    const handled = waiting(this.#timeout);
    const asked = vmnet.vmnet_stop_interface(this.address, this.#queue, blocks.once("value", handled.resolve));
    if (asked !== VMNET_SUCCESS) handled.resolve(asked);
    const status = await handled.promise;
    if (status === undefined) return `vmnet did not stop within ${this.#timeout / 1000} s`;
    if (asked !== VMNET_SUCCESS) return `vmnet did not stop: ${describeStatus(asked)}`;
    this.port.free();
    this.#native.dispatch.dispatch_release(this.#queue);
    return status === VMNET_SUCCESS ? undefined : `vmnet did not stop in order: ${describeStatus(status)}`;
  }
}

async function start(
  native: VmnetNative,
  { label, on, isolated, startTimeout = START_TIMEOUT }: InterfaceOptions,
  queue: number,
): Promise<{ address: number; parameters: InterfaceParameters }> {
  const { vmnet, xpc, dispatch, blocks } = native;
  const what = `${label} cannot be started`;
  const handled = waiting(startTimeout);
  let parameters: InterfaceParameters | undefined;
  let givenUp = false;
  let address = 0;
  const handler = blocks.once("value and object", (status, object) => {
    // Borrowed: read while the call lasts.
    if (status === VMNET_SUCCESS && object !== 0) parameters = readParameters(native, object);
    handled.resolve(status);
    if (!givenUp) return;
    const release = (): void => dispatch.dispatch_release(queue);
    if (status !== VMNET_SUCCESS) release();
    else vmnet.vmnet_stop_interface(address, queue, blocks.once("value", release));
  });
  const description = xpc.xpc_dictionary_create(0, 0, 0);
  try {
    xpc.xpc_dictionary_set_bool(description, vmnet.keys.enableIsolation, isolated);
    if ("mode" in on) {
      xpc.xpc_dictionary_set_uint64(description, vmnet.keys.operationMode, on.mode);
      address = vmnet.vmnet_start_interface(description, queue, handler);
    } else {
      address = vmnet.networks?.vmnet_interface_start_with_network(on.network, description, queue, handler) ?? 0;
    }
  } finally {
    xpc.xpc_release(description); // vmnet has taken out of it what it needs
  }
  if (address === 0) {
    handled.resolve(undefined);
    dispatch.dispatch_release(queue);
    throw new UserError(`${what}: vmnet refused at once; run softnet as root, or start the VM again`);
  }
  const status = await handled.promise;
  if (status === undefined) {
    givenUp = true; // the queue stays: its handler may come yet
    throw new UserError(`${what}: vmnet did not answer within ${startTimeout / 1000} s; start the VM again`);
  }
  if (status !== VMNET_SUCCESS || parameters === undefined) {
    dispatch.dispatch_release(queue);
    throw new VmnetError(what, status);
  }
  return { address, parameters };
}

function readParameters({ vmnet, xpc }: VmnetNative, object: number): InterfaceParameters {
  const { keys } = vmnet;
  const number = (key: number): number => (key === 0 ? 0 : Number(xpc.xpc_dictionary_get_uint64(object, key)));
  const ipv4 = (key: number): number | undefined => parseIPv4(xpc.xpc_dictionary_get_string(object, key) ?? "");
  const gateway = ipv4(keys.startAddress);
  const netmask = ipv4(keys.subnetMask);
  const mtu = number(keys.mtu) || DEFAULT_MTU;
  return {
    gateway,
    subnet: gateway === undefined || netmask === undefined ? undefined : subnetOf(gateway, netmask),
    mtu,
    maxPacketSize: number(keys.maxPacketSize) || mtu + ETHERNET_HEADER,
    readLimit: number(keys.readMaxPackets) || DOCUMENTED_LIMIT,
    writeLimit: number(keys.writeMaxPackets) || DOCUMENTED_LIMIT,
  };
}
