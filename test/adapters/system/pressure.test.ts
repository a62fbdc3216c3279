import assert from "node:assert/strict";
import { systemPressure } from "../../../src/adapters/system/pressure.ts";

describe("the pressure of this process", () => {
  it("is above 1 when the event loop is blocked and the CPU is busy, and the reading is kept for a while", async () => {
    const pressure = systemPressure();
    try {
      assert.equal(pressure.current(), 0);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const untilMs = performance.now() + 700;
      while (performance.now() < untilMs) Math.sqrt(untilMs);
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
      const untilMs = performance.now() + 150;
      while (performance.now() < untilMs) Math.sqrt(untilMs);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const eventLoop = pressure.eventLoop();
      assert.ok(eventLoop > 0 && eventLoop < 1, `${eventLoop}`);
    } finally {
      pressure.close();
    }
  });
});
