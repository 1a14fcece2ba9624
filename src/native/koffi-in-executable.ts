/**
 * koffi in the packaged executable, instead of the npm package's own JavaScript (scripts/package-bundle.ts): that
 * searches folders for its library, and another user could put a library there. Only the bundler refers to this file.
 */
import { getRawAsset } from "node:sea";
import type koffi from "koffi";
import { loadLibrary, placesFor } from "./embedded-library.ts";
import { heldRights } from "./rights.ts";

const places = placesFor(heldRights(), process.platform, process.execPath, process.geteuid!() === 0);

export default loadLibrary(new Uint8Array(getRawAsset("koffi.node")), places) as typeof koffi;
