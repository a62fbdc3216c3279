import assert from "node:assert/strict";
import { once } from "node:events";
import type { CliStream } from "../../src/cli/io.ts";
import { startProgress } from "../../src/cli/progress.ts";
import { Capture } from "./harness.ts";

describe("cli progress", () => {
  it("is a line now and then where there is no terminal", async () => {
    const stream = new Capture();
    const progress = startProgress(stream as CliStream, { label: "import", total: 1_000, items: "agents", lineIntervalMs: 5 });
    progress.update(250, 25);
    // The timer does not keep a process alive by itself.
    const alive = setInterval(() => {}, 1_000);
    await once(stream, "captured");
    clearInterval(alive);
    progress.stop();
    assert.match(stream.text, /^import {2}25% {2}25 agents {2}[\d,]+\/s {2}\S+ s left\n/);
    assert.ok(!stream.text.includes("\u001b"), "plain text");
  });

  it("says no share of what it does not know the end of", async () => {
    const stream = new Capture();
    const progress = startProgress(stream as CliStream, { label: "sync", total: 0, items: "changes", lineIntervalMs: 5 });
    progress.update(10);
    const alive = setInterval(() => {}, 1_000);
    await once(stream, "captured");
    clearInterval(alive);
    progress.stop();
    assert.match(stream.text, /^sync {2}10 changes {2}[\d,]+\/s\n/);
  });

  it("is a bar on a terminal, also one that reports 0 columns", () => {
    const stream = new Capture({ isTTY: true, columns: 0 });
    const progress = startProgress(stream as CliStream, { label: "sync", total: 10, items: "changes" });
    progress.update(10);
    progress.stop();
    assert.match(stream.text, /sync .*━.*100%.*10 changes.*took/);
  });
});
