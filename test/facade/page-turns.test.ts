import assert from "node:assert/strict";
import {
  CHANGE_PROOF_COST,
  COSTED_REGISTRIES_MAX,
  OTHER_COST_PER_MINUTE,
  OTHERS_COST_PER_MINUTE,
  PAGE_COST,
  PageBudget,
  WANTED_COST_PER_MINUTE,
} from "../../src/facade/page-budget.ts";
import {
  PAGE_WAIT_MS_MAX,
  PAGES_IN_WORK_MAX,
  PAGES_WAITING_MAX,
  PAGES_WAITING_PER_REGISTRY_MAX,
  PageTurns,
} from "../../src/facade/page-turns.ts";
import { TestClock } from "./test-clock.ts";

const MINUTE_MS = 60_000;
/** Turns of tasks that have nothing to wait for. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Desk {
  readonly clock: TestClock = new TestClock();
  readonly turns: PageTurns = new PageTurns(this.clock);
  readonly working: string[] = [];
  readonly #ends = new Map<string, () => void>();

  /** The name of the page, or the code of its refusal. */
  ask(did: string, name: string = did, isWanted = false): Promise<string> {
    const work = async (): Promise<string> => {
      this.working.push(name);
      await new Promise<void>((resolve) => this.#ends.set(name, resolve));
      this.working.splice(this.working.indexOf(name), 1);
      return name;
    };
    return this.turns.run(did, isWanted, work).catch((error: unknown) => (error as { code: string }).code);
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    await settled();
  }
}

describe("the facade: turns of pages", () => {
  it("T25 makes one page for each registry at a time and few in all, those of named registries first", async () => {
    const desk = new Desk();
    const asked = ["sybil 1", "sybil 2", "sybil 3"].map((did) => desk.ask(did));
    asked.push(desk.ask("sybil 1", "again"), desk.ask("friend", "friend", true));
    await settled();
    assert.deepEqual(desk.working, ["sybil 1", "sybil 2"]);
    assert.equal(desk.working.length, PAGES_IN_WORK_MAX);
    await desk.end("sybil 2");
    assert.deepEqual(desk.working, ["sybil 1", "friend"]);
    await desk.end("friend");
    assert.deepEqual(desk.working, ["sybil 1", "sybil 3"]);
    await desk.end("sybil 3");
    assert.deepEqual(desk.working, ["sybil 1"], "its second page waits for its first");
    await desk.end("sybil 1");
    await desk.end("again");
    assert.deepEqual(await Promise.all(asked), ["sybil 1", "sybil 2", "sybil 3", "again", "friend"]);
  });

  it("T25 bounds those who wait, and how long; others cannot fill the places of named registries", async () => {
    const desk = new Desk();
    const first = [desk.ask("a"), desk.ask("b")];
    const own = Array.from({ length: PAGES_WAITING_PER_REGISTRY_MAX }, (_, i) => desk.ask("a", `a${i}`));
    assert.equal(await desk.ask("a", "one too many"), "busy");
    const strangers = Array.from({ length: PAGES_WAITING_MAX - own.length }, (_, i) => desk.ask(`stranger ${i}`));
    assert.equal(await desk.ask("late"), "busy");
    const friend = desk.ask("friend", "friend", true);
    await settled();
    desk.clock.advance(PAGE_WAIT_MS_MAX);
    assert.deepEqual([...new Set(await Promise.all([...own, ...strangers, friend]))], ["busy"]);
    await desk.end("a");
    await desk.end("b");
    assert.deepEqual(await Promise.all(first), ["a", "b"]);
    assert.deepEqual(desk.working, [], "whoever was told to come again is not served");
  });

  it("gives the turn on when the work fails", async () => {
    const desk = new Desk();
    await assert.rejects(
      desk.turns.run("a", false, () => Promise.reject(new Error("no page"))),
      /no page/,
    );
    const next = desk.ask("a");
    await settled();
    await desk.end("a");
    assert.equal(await next, "a");
  });
});

describe("the facade: cost of pages", () => {
  /** Pages of this cost that are served in so many minutes to who asks again at once. */
  function served(
    budget: PageBudget,
    dids: readonly string[],
    isWanted: boolean,
    cost: number,
    minutes: number,
    stepMs = 20,
  ): number {
    let pages = 0;
    for (let nowMs = 0; nowMs < minutes * MINUTE_MS; nowMs += stepMs) {
      for (const did of dids) {
        try {
          budget.check(did, isWanted, nowMs);
        } catch {
          continue;
        }
        budget.charge(did, isWanted, cost, nowMs);
        pages += 1;
      }
    }
    return pages;
  }
  /** As measured: 1,000 changes with one proof, and with one each. */
  const MULTI = PAGE_COST + 490_000;
  const CHANGE = PAGE_COST + 1_600_000 + 1_000 * CHANGE_PROOF_COST;

  it("lets a million agents with one proof a page through in a few minutes", () => {
    assert.ok(served(new PageBudget(), ["friend"], true, MULTI, 2) >= 1_000);
    assert.ok(served(new PageBudget(), ["stranger"], false, MULTI, 6) >= 1_000);
  });

  it("T25 charges pages by what they cost, and bounds all that nobody named together", () => {
    const dear = served(new PageBudget(), ["stranger"], false, CHANGE, 1);
    assert.ok(dear * 5 < served(new PageBudget(), ["stranger"], false, MULTI, 1), `${dear} pages`);
    const sybils = Array.from({ length: 60 }, (_, i) => `sybil ${i}`);
    const budget = new PageBudget();
    const flood = served(budget, sybils, false, CHANGE, 1, 500) * CHANGE;
    assert.ok(flood <= OTHERS_COST_PER_MINUTE * 1.2 + CHANGE, `${flood} bytes`);
    budget.check("friend", true, MINUTE_MS);
  });

  it("says when to come again, and forgets who was quiet", () => {
    const budget = new PageBudget();
    budget.charge("a", false, OTHER_COST_PER_MINUTE, 0);
    assert.throws(() => budget.check("a", false, 0), { code: "too_many_requests", headers: { "retry-after": "50" } });
    budget.check("a", false, 50_000);
    for (let i = 0; i < COSTED_REGISTRIES_MAX; i++) budget.charge(`b${i}`, true, WANTED_COST_PER_MINUTE, 0);
    budget.check("a", false, 10_000);
  });
});
