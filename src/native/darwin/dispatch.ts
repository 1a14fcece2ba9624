/** Grand Central Dispatch: the queues on whose threads vmnet calls its handlers. */
import koffi from "koffi";
import { LIBSYSTEM } from "./libc.ts";

export interface Dispatch {
  /** A queue that runs one handler after the other (`attribute` 0); returns its address, to be released. */
  dispatch_queue_create(label: string, attribute: 0): number;
  dispatch_release(object: number): void;
}

export function loadDispatch(path: string = LIBSYSTEM): Dispatch {
  const library = koffi.load(path);
  const declare = (prototype: string): never => library.func(prototype) as never;
  return {
    dispatch_queue_create: declare("uintptr_t dispatch_queue_create(str label, uintptr_t attribute)"),
    dispatch_release: declare("void dispatch_release(uintptr_t object)"),
  };
}
