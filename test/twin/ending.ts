/** Ends its process in the very handler of a stop, with the check for leaks turned on: node test/twin/ending.ts */
import { apple, awake } from "./apple.ts";

const { calls, control, queue, running, onEvent, stopped } = apple();
control.inject("check leaks at exit", 1);
await awake(
  (async () => {
    const interface_ = await running();
    onEvent(interface_, () => {});
    control.deliver(new Uint8Array(60));
    await stopped(interface_);
    calls.releaseDispatch(queue);
    process.exit(0);
  })(),
);
