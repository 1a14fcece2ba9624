/** Whether this process can still become root: asked after the drop, when it must not. Where it can, it is root now. */
export function becomesRoot(): boolean {
  try {
    process.setuid!(0);
    return true;
  } catch {
    return false;
  }
}
