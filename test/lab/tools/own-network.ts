/**
 * What the tools with a VM's own network share: a relay between the VM's TAP and that network, softnet's JSON log on standard
 * error, and an end with SIGINT, or with 1 when the network fails.
 */
import { DEFAULT_CONNECTIONS } from "../../../src/host/table.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { openNat } from "../../../src/networks/nat/nat.ts";
import { allocateSlab } from "../../../src/ports/slab.ts";
import { openVmTap } from "../../../src/ports/tap.ts";
import { Relay, type RelayGuard } from "../../../src/relay/relay.ts";

const MTU = 1500;

type Network = Awaited<ReturnType<typeof openNat>>;
type Options = Parameters<typeof openNat>[1];

export const tell = (record: object): void => console.error(JSON.stringify(record));

export const warn = (message: string): void => tell({ level: "warn", message });

export interface OwnNetwork {
  readonly network: Network;
  /** Starts the relay with this guard. */
  start(guard: RelayGuard): void;
}

/** Opens both ends; `given`: options of `openNat` in place of usual ones. */
export async function openOwnNetwork(
  vmTap: string,
  vmMac: string,
  given: Partial<Options> & Pick<Options, "rules">,
): Promise<OwnNetwork> {
  const libc = loadLibc();
  const vm = openVmTap(libc, "--vm-tap", vmTap, Uint8Array.from(Buffer.from(vmMac.replaceAll(":", ""), "hex")));
  const usual = {
    type: "nat",
    isolated: true,
    mtu: MTU,
    connections: DEFAULT_CONNECTIONS,
    directory: "/run/softnet",
  } as const;
  const network = await openNat(libc, { ...usual, vmMac, warn, ...given });
  const slabs = [allocateSlab(MTU + 14), allocateSlab(MTU + 14)] as const;
  const start = (guard: RelayGuard): void => {
    const relay = new Relay({
      vm,
      network: network.port,
      guard,
      clock: bootClock(libc),
      batches: [slabs[0].batch, slabs[1].batch],
      onEnd: ({ error }) => {
        tell({ message: "ended", error: error.message });
        end(1);
      },
    });
    const end = (code: number): void => {
      process.exitCode = code;
      relay.stop();
      network.close();
      vm.close();
      process.stdin.destroy();
    };
    process.once("SIGINT", () => end(0));
    relay.start();
  };
  return { network, start };
}
