/** How long what was seen counts. */

/** Whether something of `since` is still within `lifetime`, its last microsecond included. */
export function fresh(since: number, now: number, lifetime: number): boolean {
  return now - since <= lifetime;
}
