/**
 * A mistake of the user's: one line that names the value and the remedy. The executable prints it and exits with 1; a
 * library's caller sees it thrown. Anything else that is thrown is a fault of softnet's own.
 */
export class UserError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UserError";
  }
}
