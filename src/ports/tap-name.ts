/** What a TAP may be called that a person names: looked at before anybody is asked for root's rights, and where it is made. */
import { UserError } from "../user-error.ts";

/** Names that a person may give: the name goes to logs, and people type it after `ip link set`, where a dash is an option. */
const NAME = /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/;
/** What the TAPs are called that softnet makes for bridges and for networks of the VM's own. */
const RESERVED = "softnet";

/** Throws UserError, also where the name is one of softnet's own TAPs. */
export function checkTapName(option: string, name: string): void {
  if (!NAME.test(name)) {
    throw new UserError(
      `${option} ${JSON.stringify(name)}: a TAP's name has letters, digits, "_", "." and "-", and does not begin with "-"; name it otherwise`,
    );
  }
  if (name.startsWith(RESERVED)) {
    throw new UserError(
      `${option} ${name}: names that begin with "${RESERVED}" are for softnet's own TAPs; name it otherwise`,
    );
  }
}
