/** What vmnet is used with: the framework itself, and of libSystem queues, dictionaries and blocks. */
import { Blocks } from "../../native/darwin/blocks.ts";
import { type Dispatch, loadDispatch } from "../../native/darwin/dispatch.ts";
import { APPLE, type DarwinLibraries } from "../../native/darwin/libraries.ts";
import { loadVmnet, type Vmnet } from "../../native/darwin/vmnet.ts";
import { loadXpc, type Xpc } from "../../native/darwin/xpc.ts";

export interface VmnetNative {
  readonly vmnet: Vmnet;
  readonly dispatch: Dispatch;
  readonly xpc: Xpc;
  readonly blocks: Blocks;
}

/** Throws where a library is missing: this is no macOS then. */
export function loadVmnetNative({ system, vmnet }: DarwinLibraries = APPLE): VmnetNative {
  return { vmnet: loadVmnet(vmnet), dispatch: loadDispatch(system), xpc: loadXpc(system), blocks: new Blocks(system) };
}
