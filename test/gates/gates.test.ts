import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { PlantedProject, ROOT, type Verdict } from "./planted.ts";
import { roomOf } from "./lint/rooms.ts";

/** Each gate passes a clean project and names what is planted in it. */
describe("gates", function () {
  this.timeout(120_000);
  let project: PlantedProject;
  beforeEach(() => (project = new PlantedProject()));
  afterEach(() => project.remove());

  const lint = (): Verdict => project.run("lint", "--format unix");
  const assertNamed = ({ passed, output }: Verdict, place: string, reason: string): void => {
    assert.equal(passed, false, "the gate let it pass");
    const isNamed = output.split("\n").some((line) => line.startsWith(place) && line.includes(reason));
    assert.ok(isNamed, `${place} is not reported as ${reason}:\n${output}`);
  };

  describe("lint", () => {
    it("passes files that keep the rules", () => {
      for (const path of ["src/ports/clock.ts", "src/catalog/rows.ts", "src/actors/mailbox.ts"]) project.plant(path);
      const { passed, output } = lint();
      assert.ok(passed, output);
    });

    it("refuses what the folder rule does not allow", () => {
      const planted: readonly (readonly [path: string, specifier: string])[] = [
        ["protocols/record/record.ts", "../../src/api.ts"],
        ["protocols/lib/bytes.ts", "node:fs"],
        ["src/ports/clock.ts", "../adapters/system/clock.ts"],
        ["src/actors/mailbox.ts", "../catalog/messages.ts"],
        ["src/catalog/rows.ts", "../membership/actor.ts"],
        ["src/catalog/prune.ts", "../membership/table.ts"],
        ["src/catalog/mutations.ts", "libp2p"],
        ["src/replication/limiter.ts", "../catalog/actor.ts"],
        ["src/operations.ts", "./catalog/actor.ts"],
        ["src/node.ts", "./adapters/memory/store.ts"],
        ["src/adapters/level/keys.ts", "../../catalog/rows.ts"],
        ["src/admin/routes.ts", "../catalog/messages.ts"],
        ["src/cli/commands/status.ts", "../../adapters/level/level-store.ts"],
        ["src/cli/commands/sync.ts", "../../compose.ts"],
        ["src/compose.ts", "../simulations/engine/clock.ts"],
        ["src/index.ts", "../test/gates/planted.ts"],
        ["simulations/engine/clock.ts", "../../src/adapters/libp2p/network.ts"],
        ["simulations/engine/queue.ts", "../../src/catalog/actor.ts"],
        ["simulations/engine/trace.ts", "../../src/compose.ts"],
      ];
      const lines = planted.map(([path, specifier]) => project.plant(path, `export * as planted from "${specifier}";`));
      project.write("src/homeless/file.ts", 'export * as planted from "../api.ts";\n');
      project.plant("src/identity/name.ts", 'export const planted = () => import("../compose.ts");');
      const verdict = lint();
      for (const [i, [path]] of planted.entries()) assertNamed(verdict, `${path}:${lines[i]}:`, "[Error/gates(rooms)]");
      assertNamed(verdict, "src/homeless/file.ts:1:", "belongs to no room");
      assertNamed(verdict, "src/identity/name.ts:", "src/identity/ may not import src/compose.ts");
    });

    it("refuses cycles, also those of types alone", () => {
      project.write("src/catalog/one.ts", 'import type { Two } from "./two.ts";\nexport type One = Two | 1;\n');
      project.write("src/catalog/two.ts", 'import type { One } from "./one.ts";\nexport type Two = One | 2;\n');
      assertNamed(lint(), "src/catalog/one.ts:1:", "import(no-cycle)");
    });

    it("refuses time and chance that do not come in through a port", () => {
      const effects = [
        'import { randomBytes as planted } from "node:crypto";',
        'import { randomUUID as alsoPlanted } from "node:crypto";',
        "Date.now();",
        "new Date();",
        "Date();",
        "Math.random();",
        "setTimeout(() => planted, 1);",
        "setInterval(() => alsoPlanted, 1);",
        "setImmediate(() => undefined);",
        "AbortSignal.timeout(1);",
        "performance.now();",
        "process.hrtime.bigint();",
        "crypto.randomUUID();",
        "globalThis.setTimeout(() => undefined, 1);",
        "const { now } = Date;",
      ];
      const paths = ["protocols/record/hlc.ts", "src/catalog/prune.ts", "src/node.ts", "src/adapters/memory/pipe.ts"];
      const lines = paths.map((path) => project.plant(path, ...effects));
      const verdict = lint();
      for (const [i, path] of paths.entries()) {
        for (const [j] of effects.entries()) {
          assertNamed(verdict, `${path}:${(lines[i] as number) + j}:`, "[Error/");
        }
      }
    });

    it("allows dates that are made of a given time", () => {
      project.plant("src/catalog/prune.ts", "export const planted: Date = new Date(0);");
      const { passed, output } = lint();
      assert.ok(passed, output);
    });

    it("refuses decorators, any, and a promise that nobody waits for", () => {
      const line = project.plant(
        "src/ports/clock.ts",
        "export const made: any = 1;",
        "declare function later(): Promise<void>;",
        "later();",
        "@made class Decorated {}",
      );
      const verdict = lint();
      assertNamed(verdict, `src/ports/clock.ts:${line}:`, "no-explicit-any");
      assertNamed(verdict, `src/ports/clock.ts:${line + 2}:`, "no-floating-promises");
      assertNamed(verdict, `src/ports/clock.ts:${line + 3}:`, "decorators do not run");
    });

    it("knows the room of every file", () => {
      for (const folder of ["src", "protocols", "simulations", "bench", "test"]) {
        for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })) {
          const path = join(folder, name);
          if (path.endsWith(".ts")) assert.ok(roomOf(path) !== undefined, `${path} belongs to no room`);
        }
      }
    });
  });

  it("types: passes a sound file and refuses a wrong type, an enum and an unused name", () => {
    project.plant("src/ports/clock.ts");
    const { passed, output } = project.run("types");
    assert.ok(passed, output);
    const line = project.plant(
      "src/ports/clock.ts",
      'export const planted: number = "text";',
      "export enum Planted { a }",
      "const unused = 1;",
    );
    const verdict = project.run("types");
    for (const [i, code] of ["TS2322", "TS1294", "TS6133"].entries())
      assertNamed(verdict, `src/ports/clock.ts(${line + i},`, code);
  });

  it("format: passes a formatted file and names one that is not", () => {
    project.plant("src/ports/clock.ts");
    const { passed, output } = project.run("format:check");
    assert.ok(passed, output);
    project.plant("src/ports/clock.ts", "export  const planted = 'x'");
    assertNamed(project.run("format:check"), "[warn] src/ports/clock.ts", "");
  });

  it("dead code: passes what is reached and names an export, a file and a package that are not", () => {
    project.write("src/index.ts", 'export type { Planted } from "./ports/planted.ts";\n');
    project.write("test/gates/gates.test.ts", 'import plugin from "./lint/plugin.ts";\nvoid plugin;\n');
    project.write("src/ports/planted.ts", "export type Planted = number;\n");
    const { passed, output } = project.run("deadcode");
    assert.ok(passed, output);
    project.write("src/ports/planted.ts", "export type Planted = number;\nexport const nobodyUsesThis = 1;\n");
    project.write("src/ports/nobody.ts", "export const nobody = 1;\n");
    const verdict = project.run("deadcode");
    assertNamed(verdict, "nobodyUsesThis", "src/ports/planted.ts");
    assertNamed(verdict, "src/ports/nobody.ts", "");
  });
});
