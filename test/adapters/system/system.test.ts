import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import { hostFacts } from "../../../src/adapters/system/host.ts";
import { RANDOM_BYTES_MAX, systemRandom } from "../../../src/adapters/system/random.ts";

describe("system: clock, random and host", () => {
  it("tells the time, whole milliseconds, and durations that never go back", () => {
    const clock = systemClock();
    const before = Date.now();
    const now = clock.now();
    assert.ok(Number.isSafeInteger(now) && now >= before && now <= Date.now());
    let last = clock.monotonic();
    for (let i = 0; i < 1_000; i++) {
      const next = clock.monotonic();
      assert.ok(next >= last);
      last = next;
    }
  });

  it("fires once after the delay, in the order of the delays, and not when cancelled", async () => {
    const clock = systemClock();
    const fired: string[] = [];
    const keepAlive = setInterval(() => undefined, 1_000);
    await new Promise<void>((resolve) => {
      const cancel = clock.after(5, () => fired.push("cancelled"));
      const done = clock.after(40, () => {
        fired.push("second");
        resolve();
      });
      clock.after(10, () => fired.push("first"));
      clock.after(2 ** 40, () => fired.push("far future"));
      cancel();
      assert.equal(typeof done, "function");
    });
    clearInterval(keepAlive);
    assert.deepEqual(fired, ["first", "second"]);
  });

  it("does not keep the process alive for a pending timer", () => {
    const module = new URL("../../../src/adapters/system/clock.ts", import.meta.url).href;
    const script = `import { systemClock } from ${JSON.stringify(module)}; systemClock().after(60_000, () => {});`;
    const child = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { timeout: 15_000 });
    assert.equal(child.status, 0, String(child.stderr));
  });

  it("gives bytes of the asked length within its bound, and units in [0, 1)", () => {
    const random = systemRandom();
    assert.equal(random.bytes(0).length, 0);
    assert.equal(random.bytes(RANDOM_BYTES_MAX).length, RANDOM_BYTES_MAX);
    assert.throws(() => random.bytes(RANDOM_BYTES_MAX + 1), RangeError);
    assert.notDeepEqual(random.bytes(32), random.bytes(32));
    for (let i = 0; i < 1_000; i++) {
      const unit = random.unit();
      assert.ok(unit >= 0 && unit < 1);
    }
  });

  it("knows its host", () => {
    const facts = hostFacts();
    assert.equal(facts.pid, process.pid);
    assert.equal(facts.nodeVersion, process.version);
    assert.deepEqual(hostFacts(), facts);
  });
});
