/**
 * Simulated VMs for bench/fleet.ts, a child process of it: softnet's own control socket, its channels, methods and live policy, with
 * no frames behind them. Says when a change is in force at as many of them as were to get it.
 *
 * fleet-vms.ts FOLDER FIRST HOSTS VMS: a socket FOLDER/hN/vmM.ctl for each
 */
import { mkdirSync } from "node:fs";
import { Controllers } from "../src/control/controllers.ts";
import { Events } from "../src/control/events.ts";
import { LivePolicy } from "../src/control/live-policy.ts";
import type { ControlTarget } from "../src/control/methods.ts";
import { loadLibc } from "../src/native/linux/libc.ts";
import { formatLimits, parseLimits } from "../src/policy/limits.ts";
import { formatRule } from "../src/policy/rule.ts";
import { StreamListener } from "../src/ports/stream-listener.ts";
import { type Change, type InForce, limitOf, ruleOf } from "./fleet-parts.ts";

const [folder = "", first = "0", hosts = "1", vms = "1"] = process.argv.slice(2);
const libc = loadLibc();
const start = performance.now();

let awaited: Change | undefined;
let rule = "";
let limit = "";
let reached = 0;

/** Of one VM: what it has of a change. */
interface Has {
  rule: boolean;
  limit: boolean;
  /** The last change that was counted here. */
  counted: number;
}

function note(has: Has): void {
  if (awaited === undefined || !has.rule || !has.limit || has.counted === awaited.number) return;
  has.counted = awaited.number;
  if (++reached !== awaited.vms) return;
  const told: InForce = { change: awaited.number, at: process.hrtime.bigint().toString() };
  awaited = undefined;
  process.send!(told);
}

function serve(host: number, vm: number): void {
  const path = `${folder}/h${host}/vm${vm}.ctl`;
  const has: Has = { rule: false, limit: false, counted: -1 };
  const events = new Events(() => ({}));
  let limits = parseLimits("");
  const target: ControlTarget = {
    policy: new LivePolicy([], (rules) => {
      has.rule = rules.some((one) => formatRule(one) === rule);
      events.policyChanged({ by: "control", ruleCount: rules.length, stateful: false, flowsEnded: 0 });
      note(has);
    }),
    events,
    isolated: true,
    status: () => statusOf(host, vm),
    explain: () => ({ verdict: "pass" }),
    explainName: () => ({}),
    names: () => [],
    rules: () => ({ rules: [] }),
    metrics: () => "# EOF\n",
    turnLane: () => "a simulated VM has none",
    limits: () => ({ limits: formatLimits(limits) }),
    setLimits: (text) => {
      limits = parseLimits(text);
      has.limit = formatLimits(limits).includes(limit);
      note(has);
    },
  };
  let soon = false;
  const controllers = new Controllers({
    target,
    onBroken: () => {},
    onFault: (error) => {
      throw error;
    },
    onActivity: () => {
      if (soon) return;
      soon = true;
      setTimeout(() => {
        soon = false;
        controllers.check(performance.now() * 1000);
      }, 50);
    },
  });
  new StreamListener(libc, "--control-socket", path, (stream) => controllers.admit(stream));
}

/** As long as a softnet's. */
function statusOf(host: number, vm: number): object {
  const side = (frames: number) => ({
    frames,
    bytes: frames * 700,
    large: 0,
    undelivered: 0,
    unsendable: 0,
    drops: { "policy.block": 4, "ethernet.ipv6": 12, "dhcp.other-client": 3 },
  });
  const seconds = Math.round((performance.now() - start) / 1000);
  const last = `${(host >> 6) & 255}.${host & 63}.${vm + 1}`;
  return {
    version: "0.1.0",
    name: `h${host}-vm${vm}`,
    labels: ["web"],
    uptime: seconds,
    network: "bridge br0",
    isolated: true,
    mac: `02:00:00:00:${(host & 255).toString(16).padStart(2, "0")}:${vm.toString(16).padStart(2, "0")}`,
    interface: `vm${vm}`,
    gateway: "10.0.0.1",
    binding: {
      address: `10.${last}`,
      origin: "snooped",
      server: "10.0.0.1",
      gateway: "10.0.0.1",
      dns: ["10.0.0.1"],
      seconds: 540,
    },
    policy: { ruleCount: 11, stateful: false, file: null, source: "options" },
    host: { notices: [] },
    flows: { inUse: 3, limit: 32_768 },
    counters: { egress: side(seconds * 100), ingress: side(seconds * 90) },
  };
}

for (let host = Number(first); host < Number(first) + Number(hosts); host++) {
  mkdirSync(`${folder}/h${host}`);
  for (let vm = 0; vm < Number(vms); vm++) serve(host, vm);
}

process.on("message", (change: Change) => {
  awaited = change;
  reached = 0;
  rule = ruleOf(change.number);
  limit = limitOf(change.number);
  process.send!({ ready: change.number });
});
process.on("disconnect", () => process.exit());
process.send!({ ready: 0 });
