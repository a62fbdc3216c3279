import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SHIM = fileURLToPath(new URL("../../src/cli/registry.js", import.meta.url));

describe("cli shim", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "shim-"));
    mkdirSync(join(directory, "src", "cli"), { recursive: true });
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
    copyFileSync(SHIM, join(directory, "src", "cli", "registry.js"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const run = (...nodeArguments: string[]): { status: number | null; stderr: string } =>
    spawnSync(process.execPath, [...nodeArguments, join(directory, "src", "cli", "registry.js"), "version"], {
      encoding: "utf8",
    });
  const pretend = (version: string): string =>
    `data:text/javascript,Object.defineProperty(process,"version",{value:${JSON.stringify(version)}})`;

  it("tells an old Node what it needs, before anything is imported", () => {
    for (const version of ["v20.19.0", "v22.18.0"]) {
      const { status, stderr } = run("--import", pretend(version));
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`needs Node 22.19 or newer; this is ${version}`));
    }
  });

  it("takes the first Node that has what it needs, and says what to do when nothing is built", () => {
    for (const version of ["v22.19.0", "v23.0.0"]) {
      const { status, stderr } = run("--import", pretend(version));
      assert.equal(status, 1);
      assert.match(stderr, /npm run build/);
    }
  });

  it("does not take another missing module for a missing build", () => {
    mkdirSync(join(directory, "dist", "src", "cli"), { recursive: true });
    writeFileSync(join(directory, "dist", "src", "cli", "main.js"), 'import "./lost.js";\n');
    const { status, stderr } = run();
    assert.equal(status, 1);
    assert.match(stderr, /lost\.js/);
  });

  it("is written in words that every Node with modules knows", () => {
    const text = readFileSync(SHIM, "utf8").replace(/^\/\/.*$/gm, "");
    assert.doesNotMatch(text, /\?\?|\?\.|=>|\b(?:const|let|await|class)\b|^import /m);
  });
});
