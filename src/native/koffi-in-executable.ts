/**
 * koffi as it is in the packaged executable, in the place of the npm package's own JavaScript (scripts/package-bundle.ts):
 * that one searches folders for its library, and a search can be led astray. Nothing imports this file by name.
 */
import { getRawAsset } from "node:sea";
import type koffi from "koffi";
import { loadLibrary, placesFor } from "./place-library.ts";
import { heldRights } from "./rights.ts";

const places = placesFor(heldRights(), process.platform, process.execPath, process.geteuid!() === 0);

export default loadLibrary(new Uint8Array(getRawAsset("koffi.node")), places) as typeof koffi;
