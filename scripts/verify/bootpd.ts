/** Whether what softnet writes into the preferences of Internet Sharing reaches bootpd's own file while a network runs. */
import { spawnSync } from "node:child_process";
import { VMNET_SHARED_MODE } from "../../src/native/darwin/vmnet.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import type { LeaseTimeNative } from "../../src/networks/vmnet/lease-time.ts";
import { setLeaseTime } from "../../src/networks/vmnet/lease-time.ts";
import type { VmnetNative } from "../../src/networks/vmnet/native.ts";
import { remember, SECONDS } from "./lease-time.ts";
import { type Finding, failed, open, type Point } from "./points.ts";

const BOOTPD = "/etc/bootpd.plist";
const KEY = "dhcp_ignore_client_identifier";

export function bootpdPoints(native: VmnetNative, leaseTime: () => LeaseTimeNative): Point[] {
  const prepare = async (): Promise<() => void> => {
    const restore = remember();
    await setLeaseTime(leaseTime(), SECONDS);
    return restore;
  };
  return [
    {
      name: `lease time: ${BOOTPD} has it, and ${KEY}, while a shared interface runs`,
      run: () => lookAtBootpd(native, prepare, readBootpd),
    },
  ];
}

/** `prepare` sets the lease time and answers how to take that back; `read` answers bootpd's file as JSON, if there is one. */
export async function lookAtBootpd(
  native: VmnetNative,
  prepare: () => Promise<() => void>,
  read: () => string | undefined,
): Promise<Finding> {
  const restore = await prepare();
  try {
    const on = { mode: VMNET_SHARED_MODE };
    const vmnet = await VmnetInterface.start(native, { label: "verify", on, isolated: true });
    const text = read();
    const why = await vmnet.stop();
    if (why !== undefined) return failed(why);
    if (text === undefined) return open(`there is no ${BOOTPD} that plutil reads`);
    const settings: Readonly<Record<string, unknown>> = JSON.parse(text);
    const times = JSON.stringify(settings).match(/"[^"]*lease[^"]*":\d+/gi) ?? [];
    const clients = settings[KEY] === undefined ? `no ${KEY}` : `${KEY}: ${JSON.stringify(settings[KEY])}`;
    return open(`${clients}\nlease times: ${times.join(", ") || "none"} (${SECONDS} was asked for)`);
  } finally {
    restore();
  }
}

function readBootpd(): string | undefined {
  const { status, stdout } = spawnSync("/usr/bin/plutil", ["-convert", "json", "-o", "-", BOOTPD], {
    encoding: "utf8",
  });
  return status === 0 ? stdout : undefined;
}
