/**
 * The places of the VM's addresses: the words that frames are compared with, and whether the address in a place is valid. Link-local
 * ones have the first four; the place found last is looked at first.
 */
import { NO_PLACE, type OwnPlaces } from "./own-places.ts";

export const PLACES = 20;
/** Link-local addresses have the places before this one. */
export const FIRST_OTHER = 4;

export const FREE = 0;
export const TENTATIVE = 1;
export const VALID = 2;

export class AddressPlaces implements OwnPlaces {
  readonly words = new Int32Array(4 * PLACES);
  /** FREE, TENTATIVE or VALID, by place. */
  protected readonly states = new Uint8Array(PLACES);
  /** The place that was found last. */
  #last = 0;

  /** The place of a tentative or valid address, or NO_PLACE. */
  find(words: Int32Array): number {
    const last = this.#last;
    return this.#is(last, words) ? last : this.#search(words);
  }

  #search(words: Int32Array): number {
    for (let place = 0; place < PLACES; place++) {
      if (!this.#is(place, words)) continue;
      this.#last = place;
      return place;
    }
    return NO_PLACE;
  }

  placeOf(words: Int32Array): number {
    const place = this.find(words);
    return place !== NO_PLACE && this.states[place] === VALID ? place : NO_PLACE;
  }

  #is(place: number, words: Int32Array): boolean {
    const at = 4 * place;
    const own = this.words;
    return (
      own[at + 3] === words[3] &&
      own[at + 2] === words[2] &&
      own[at + 1] === words[1] &&
      own[at] === words[0] &&
      this.states[place] !== FREE
    );
  }

  isTentative(place: number): boolean {
    return this.states[place] === TENTATIVE;
  }

  isLinkLocal(place: number): boolean {
    return place < FIRST_OTHER;
  }
}
