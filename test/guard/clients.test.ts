/**
 * A table of ordinary DHCP clients, state by state (RFC 2131 figure 5), at servers of each manner: each binds, and stays
 * bound. Debian's clients and servers meet for real in test/clients; docs/clients.md has both.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { optionsOf } from "./client-guest.ts";
import { CLIENT_ROWS } from "./client-rows.ts";
import { CLIENT_STATES } from "./client-states.ts";
import { SERVER_MANNERS } from "./server-manners.ts";
import { hex, VM } from "./support.ts";

for (const row of CLIENT_ROWS) {
  for (const state of CLIENT_STATES) {
    if (state.for?.(row) === false) continue;
    test(`${row.name}: ${state.name}`, () => {
      for (const manner of SERVER_MANNERS) {
        try {
          state.play(row, manner).bench.assertOnline();
        } catch (error) {
          throw new Error(`at ${manner.name}: ${(error as Error).message}`, { cause: error });
        }
      }
    });
  }
}

test("every row says what its options are, byte by byte", () => {
  const all = [
    ...CLIENT_ROWS.map(({ name, options }) => ({ name, text: options.replace("MAC", VM.replaceAll(":", "")) })),
    ...SERVER_MANNERS.map(({ name, options }) => ({ name, text: options })),
    ...SERVER_MANNERS.map(({ name, nak }) => ({ name, text: nak.replace("SERVER", "3604 c0a84001") })),
  ];
  for (const { name, text } of all) {
    const length = optionsOf(text).reduce((sum, [, value]) => sum + 2 + value.length, 0);
    assert.equal(length, hex(text).length, name);
  }
});
