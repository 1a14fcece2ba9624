#!/usr/bin/env node
/**
 * The executable. Its caller may be hostile, so he is disarmed before anything else is loaded, let alone runs; then the
 * arguments become a command (commands/program.ts).
 */
import { disarm } from "./privileges/hostile.ts";

disarm();
const { main } = await import("./commands/program.ts");
await main(process.argv.slice(2));
