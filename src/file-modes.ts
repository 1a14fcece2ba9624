/** Bits of a file's mode (inode(7)). */

/** Group and others. With an access control list the group's bits are its mask: more than these it gives to nobody. */
export const OTHERS_MAY_WRITE = 0o022;
