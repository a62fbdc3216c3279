import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const SIGNALS = new URL("../../src/cli/signals.ts", import.meta.url).href;

/** A process whose draining never ends, so that only force ends it. */
const STUCK = `
  import { onInterrupt } from ${JSON.stringify(SIGNALS)};
  onInterrupt(() => console.log("draining"));
  setInterval(() => {}, 1_000);
  console.log("ready");
`;

describe("cli signals", () => {
  it("drains on the first Ctrl-C and forces on the second", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", STUCK], { stdio: ["ignore", "pipe", "inherit"] });
    const exit = once(child, "exit") as Promise<[number | null, string | null]>;
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      child.kill("SIGINT");
    }
    assert.deepEqual(said, ["ready", "draining"]);
    assert.deepEqual(await exit, [130, null]);
  });
});
