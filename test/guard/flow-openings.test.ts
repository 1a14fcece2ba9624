/** The limit of flows that a VM opens (docs/limits.md). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CLOSED,
  change,
  echoOut,
  flowsOf,
  middle,
  remote,
  SYN,
  tcpIn,
  tcpOut,
  tracking,
  udpOut,
} from "./flow-support.ts";
import { ADDRESS, Bench, SECOND } from "./support.ts";

const LIMIT = { rate: 2, burst: 3 };

test("L15 behind the burst so many flows a second open, of every kind; what belongs to one passes all the same", () => {
  const bench = tracking(CLOSED);
  bench.guard.limitFlows(LIMIT);
  bench.passesOut(tcpOut({ own: 1 }), udpOut({ own: 2 }), echoOut(8, { identifier: 3 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 4 }), udpOut({ own: 4 }), echoOut(8, { identifier: 4 }));
  bench.passesOut(tcpOut({ own: 1 }), udpOut({ own: 2 }), echoOut(8, { identifier: 3 }));
  assert.equal(flowsOf(bench), 3);
  bench.wait(SECOND);
  bench.passesOut(tcpOut({ own: 4 }), udpOut({ own: 4 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 5 }));
});

test("flows that the other side opens are not counted", () => {
  const bench = tracking();
  bench.guard.limitFlows({ rate: 1, burst: 1 });
  for (let port = 1; port < 20; port++) bench.passesIn(tcpIn({ own: 22, port: 1000 + port, flags: SYN }));
  bench.passesOut(tcpOut({ own: 1 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 2 }));
});

test("a packet that policy drops costs nothing", () => {
  const bench = tracking({ block: ["out 93.184.216.34/32", "in 0.0.0.0/0"] });
  bench.guard.limitFlows({ rate: 1, burst: 1 });
  for (let port = 1; port < 20; port++) bench.dropsOut("policy.block", tcpOut({ own: port }));
  bench.passesOut(tcpOut({ own: 1, destination: remote(1) }));
});

test("without rules that need flows it holds, too, and each connection costs once", () => {
  const bench = new Bench({ address: ADDRESS });
  bench.guard.limitFlows({ rate: 1, burst: 2 });
  bench.passesOut(tcpOut({ own: 1 }), tcpOut({ own: 1, ...middle }), tcpOut({ own: 1, ...middle }), tcpOut({ own: 2 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 3 }));
  bench.passesOut(tcpOut({ own: 2, ...middle }));
});

test("a limit that is taken away is gone at once, another one begins full, and a new policy keeps it", () => {
  const bench = tracking(CLOSED);
  bench.guard.limitFlows({ rate: 1, burst: 1 });
  bench.passesOut(tcpOut({ own: 1 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 2 }));
  change(bench, [], ["in 0.0.0.0/0", "out 192.0.2.0/24"]);
  bench.dropsOut("limit.flows", tcpOut({ own: 2 }));
  bench.guard.limitFlows({ rate: 1, burst: 2 });
  bench.passesOut(tcpOut({ own: 2 }), tcpOut({ own: 3 }));
  bench.dropsOut("limit.flows", tcpOut({ own: 4 }));
  bench.guard.limitFlows(undefined);
  for (let port = 4; port < 100; port++) bench.passesOut(tcpOut({ own: port }));
});
