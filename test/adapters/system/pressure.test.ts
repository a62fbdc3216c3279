import assert from "node:assert/strict";
import { systemPressure } from "../../../src/adapters/system/pressure.ts";

/** So much CPU in one turn, whatever else the machine does. */
function work(cpuMs: number): void {
  const before = process.cpuUsage();
  let usedMs = 0;
  while (usedMs < cpuMs) {
    const { user, system } = process.cpuUsage(before);
    usedMs = (user + system) / 1_000;
  }
}

describe("the pressure of this process", () => {
  it("is above 1 when the event loop is blocked and the CPU is busy, and the reading is kept for a while", async () => {
    const pressure = systemPressure();
    try {
      assert.equal(pressure.current(), 0);
      await new Promise((resolve) => setTimeout(resolve, 50));
      work(1_000);
      // The delay shows once the loop turns again.
      await new Promise((resolve) => setTimeout(resolve, 50));
      const busy = pressure.current();
      assert.ok(busy > 1, `${busy}`);
      assert.equal(pressure.current(), busy);
      assert.ok(pressure.eventLoop() > 1, `${pressure.eventLoop()}`);
    } finally {
      pressure.close();
    }
  });

  it("is below 1 when one turn among many is long: those who come in it wait, the others do not", async () => {
    const pressure = systemPressure();
    try {
      await new Promise((resolve) => setTimeout(resolve, 500));
      work(150);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const eventLoop = pressure.eventLoop();
      assert.ok(eventLoop > 0 && eventLoop < 1, `${eventLoop}`);
    } finally {
      pressure.close();
    }
  });

  it("is below 1 when the loop turns late because the machine did not run this process", async () => {
    const pressure = systemPressure();
    try {
      await new Promise((resolve) => setTimeout(resolve, 50));
      // Of the loop it is the same whether others had the CPU or nobody: here it waits in its turn.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.ok(pressure.eventLoop() < 1, `${pressure.eventLoop()}`);
    } finally {
      pressure.close();
    }
  });
});
