/** The flow table with lent numbers and places: each address has a number as long as one flow has it, whatever ends flows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FLOW_ECHO_FROM_VM, FLOW_TCP, FLOW_UDP, withPlace } from "../../../src/guard/flow-state.ts";
import { FlowTable, NO_FLOW } from "../../../src/guard/flow-table.ts";
import { RemoteNumbers } from "../../../src/guard/ipv6/remote-numbers.ts";
import { PASS } from "../../../src/guard/reasons.ts";
import { ACK, RST, wordsOf } from "./policy-support.ts";

const REMOTES = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:1::2"].map(wordsOf);

test("I13 numbers are given back with the last flow, and flows of different places do not meet", () => {
  const key = fc.tuple(
    fc.constantFrom(FLOW_TCP, FLOW_TCP, FLOW_UDP, FLOW_ECHO_FROM_VM),
    fc.constantFrom(0, 1, 31),
    fc.nat({ max: REMOTES.length - 1 }),
    fc.nat({ max: 1 }),
  );
  const act = fc.oneof(
    { weight: 8, arbitrary: fc.record({ open: key, byOther: fc.boolean(), syn: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ end: key }) },
    { weight: 2, arbitrary: fc.record({ reset: key }) },
    { weight: 1, arbitrary: fc.record({ place: fc.constantFrom(0, 1, 31) }) },
    { weight: 2, arbitrary: fc.record({ wait: fc.constantFrom(1, 31, 61, 250, 301, 7500) }) },
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const numbers = new RemoteNumbers();
      const table = new FlowTable(8, undefined, numbers);
      let now = 1000;
      table.advance(now);
      const known = new Set<string>();
      const find = ([kind, place, remote, ports]: readonly number[]) =>
        table.find(withPlace(kind!, place!), numbers.find(REMOTES[remote!]!), ports!);
      for (const one of acts) {
        if ("open" in one) {
          const [kind, place, remote, ports] = one.open;
          if (find(one.open) !== NO_FLOW) continue;
          const syn = one.syn && kind === FLOW_TCP;
          const number = numbers.find(REMOTES[remote]!);
          if (table.refusal(withPlace(kind, place), one.byOther, syn, number) !== PASS) continue;
          const flow = table.open(withPlace(kind, place), number, ports, one.byOther, syn);
          known.add(String(one.open));
          numbers.select(table.remoteOf(flow));
          assert.deepEqual(numbers.words, REMOTES[remote]);
          assert.deepEqual([table.kindOf(flow), table.placeOf(flow)], [kind, place]);
        } else if ("end" in one) {
          const flow = find(one.end);
          if (flow !== NO_FLOW) table.end(flow);
          known.delete(String(one.end));
        } else if ("reset" in one) {
          const flow = find(one.reset);
          const halfOpen = flow !== NO_FLOW && one.reset[0] === FLOW_TCP;
          if (halfOpen && table.follow(flow, !table.isFromOther(flow), RST | ACK, false))
            known.delete(String(one.reset));
        } else if ("place" in one) {
          table.endOf(one.place);
          for (const text of known) if (Number(text.split(",")[1]) === one.place) known.delete(text);
        } else {
          now += one.wait;
          table.advance(now);
        }
        // What time and room have ended.
        for (const text of known) if (find(text.split(",").map(Number)) === NO_FLOW) known.delete(text);
        assert.equal(table.size, known.size);
        assert.equal(numbers.count, new Set([...known].map((text) => text.split(",")[2])).size);
      }
      table.clear();
      assert.equal(numbers.count, 0);
    }),
    { numRuns: 60 },
  );
});
