/** The first argument of a softnet that softnet starts as a daemon (daemon.ts): it is no command for users. */
export const DAEMON = "daemon";
