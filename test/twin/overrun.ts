/**
 * Uses memory wrongly, as the first argument says, in a process that was started with AddressSanitizer:
 * node test/twin/overrun.ts NAME. Such a process must end with a report.
 */
import koffi from "koffi";
import { type Apple, apple, awake, Packets } from "./apple.ts";

/** What each does, and what the report says: undefined when there must be none. */
export const OVERRUNS: Record<string, { says: RegExp | undefined; run: (twin: Apple) => unknown }> = {
  "C reads and writes within its memory": {
    says: undefined,
    run: async ({ calls, control, running, stopped }) => {
      const memory = koffi.alloc("uint8_t", 100);
      control.touch(memory, 100);
      koffi.free(memory);
      const interface_ = await running();
      const packets = new Packets(4);
      control.deliver(new Uint8Array(1514));
      calls.read(interface_, packets.descriptors, packets.count);
      calls.write(interface_, packets.reset(60).descriptors, packets.count);
      await stopped(interface_);
    },
  },
  "C reads one byte too many": {
    says: /AddressSanitizer: heap-buffer-overflow/,
    run: ({ control }) => control.touch(koffi.alloc("uint8_t", 100), 101),
  },
  "C reads memory that was freed": {
    says: /AddressSanitizer: heap-use-after-free/,
    run: ({ control }) => {
      const memory = koffi.alloc("uint8_t", 100);
      koffi.free(memory);
      control.touch(memory, 100);
    },
  },
  "vmnet_read is given a packet larger than its memory": {
    says: /AddressSanitizer: heap-buffer-overflow/,
    run: async ({ calls, running }) => {
      const packets = new Packets(1).reset(1515);
      calls.read(await running(), packets.descriptors, packets.count);
    },
  },
  "packet memory is freed before the stop handler": {
    says: /AddressSanitizer: heap-use-after-free/,
    run: async ({ calls, control, running, queue, status }) => {
      control.inject("stop delay", 50);
      const interface_ = await running();
      const packets = new Packets(1);
      calls.read(interface_, packets.descriptors, packets.count);
      const done = status();
      calls.stop(interface_, queue, done.block);
      koffi.free(packets.memory);
      await done.came;
    },
  },
  "a block is freed before its handler": {
    says: /AddressSanitizer: heap-use-after-free/,
    run: async ({ calls, control, running, queue, status }) => {
      control.inject("stop delay", 50);
      const interface_ = await running();
      const done = status();
      calls.stop(interface_, queue, done.block);
      koffi.free(done.block);
      await done.came;
    },
  },
};

if (import.meta.main) {
  const overrun = OVERRUNS[process.argv[2] ?? ""];
  if (overrun === undefined) throw new Error(`no overrun "${process.argv[2]}"`);
  await awake(Promise.resolve(overrun.run(apple({ sanitized: true }))));
}
