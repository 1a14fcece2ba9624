/** Whether this process can still become root, which it must not after the drop. If it can, it is root afterwards. */
export function becomesRoot(): boolean {
  try {
    process.setuid!(0);
    return true;
  } catch {
    return false;
  }
}
