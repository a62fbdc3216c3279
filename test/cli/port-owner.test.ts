import assert from "node:assert/strict";
import { commandOf, dataDirOf } from "../../src/cli/port-owner.ts";

describe("cli port owner", () => {
  const cases: [command: string, dataDir: string | undefined, words: string[]][] = [
    ["node registry.js", "b", ["/usr/bin/node", "/opt/registry.js", "start", "--data-dir", "b"]],
    ["node registry.js", "/var/b", ["node", "--", "registry.js", "start", "--data-dir=/var/b"]],
    ["nginx", undefined, ["/usr/sbin/nginx", "-g"]],
    ["node registry.js", undefined, ["node", "registry.js", "start", "--data-dir"]],
    ["", undefined, []],
  ];
  for (const [command, dataDir, words] of cases) {
    it(`reads ${JSON.stringify(words.join(" "))}`, () => {
      assert.deepEqual([commandOf(words), dataDirOf(words)], [command, dataDir]);
    });
  }
});
