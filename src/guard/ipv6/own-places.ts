/** The VM's IPv6 addresses as policy knows them: by their place among the family's own, which is all that flows remember. */

export { NO_PLACE } from "../flow-family.ts";
export { MOST_PLACES } from "../flow-state.ts";

/** What policy asks the address family. */
export interface OwnPlaces {
  /** Four signed words for each place; those of a place stay until `ownAddressEnded` was called for it. */
  readonly words: Int32Array;
  /** The place of the valid address that has these four words, or NO_PLACE. */
  placeOf(words: Int32Array): number;
}
