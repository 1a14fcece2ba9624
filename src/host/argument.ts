/** The argument with which softnet starts itself as the host's helper. */
export const HOST_HELPER = "--host-helper";
