/** The argument that makes the packaged executable an agent of the demo: there are no files in it to name. */
export const AGENT = "--demo-agent";
