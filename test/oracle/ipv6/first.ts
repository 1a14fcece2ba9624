/** The first guard, the one that softnet runs, behind the face that the comparison of IPv6 knows. */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { FirstGuard } from "../first.ts";
import type { Judge6 } from "./judge.ts";

export const createFirst6 = (options: GuardOptions): Judge6 => new FirstGuard(options);
