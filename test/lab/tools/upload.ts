/** Sends bytes of the known pattern to services.ts, `upload.ts URL BYTES`, and prints how many it says were right. */
import { request } from "node:http";
import { pattern } from "./pattern.ts";

const [url, size] = process.argv.slice(2);
const body = pattern(Number(size));
const upload = request(
  url!,
  { method: "POST", agent: false, headers: { "content-length": body.length } },
  (response) => {
    let text = "";
    response.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    response.on("end", () => console.log(text));
  },
);
upload.setTimeout(20_000, () => upload.destroy(new Error("no answer for 20 s")));
upload.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
upload.end(body);
