import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NodeError } from "../../src/api.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { plainJson } from "../../src/cli/text.ts";
import { agentInput } from "../admin/map-node.ts";
import { Bench, Capture } from "./harness.ts";

/** Clears the screen in both spellings, turns the text around, and feigns a line of ours. */
const HOSTILE = "you\u001b[2J are\u009b2J done\u202e\nerror: pay at\rhttps://evil.example\u0007";
/** All that a terminal may be sent, beside the breaks of our own lines. */
const OBEYED = /[^\P{Cc}\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

describe("cli: what strangers say", () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = new Bench();
    await bench.serve();
    writeFileSync(join(bench.directory, "agent.json"), JSON.stringify(agentInput("acme/one")));
  });
  afterEach(() => bench.close());

  it("T51 steers no terminal, and feigns no message, as the reason of a refusal", async () => {
    bench.node.beforeMutate = () => Promise.reject(new NodeError("refused", HOSTILE));
    for (const environment of [{}, { REGISTRY_LOG_LEVEL: "debug" }]) {
      const { exit, stderr } = await bench.run(["agent", "register", "agent.json"], { environment });
      assert.equal(exit, EXIT.refused);
      assert.match(stderr, /^error: you \[2J are 2J done {2}error: pay at https:\/\/evil\.example \n/);
      assert.doesNotMatch(stderr, OBEYED);
    }
  });

  it("T51 steers no terminal as JSON, and is the same text there", async () => {
    bench.node.beforeMutate = () => Promise.reject(new NodeError("refused", HOSTILE));
    const { stderr } = await bench.run(["agent", "register", "agent.json", "--json"]);
    assert.doesNotMatch(stderr, OBEYED);
    assert.equal((JSON.parse(stderr) as { error: { message: string } }).error.message, HOSTILE);
    assert.equal(JSON.parse(plainJson(JSON.stringify({ [HOSTILE]: HOSTILE })))[HOSTILE], HOSTILE);
  });

  it("T51 steers no terminal in what is shown of peers, replicas and contacts", async () => {
    const problem = { code: "no_registry", reason: HOSTILE, fix: HOSTILE } as const;
    const tried = { lastAttempt: null, nextAttempt: null };
    bench.node.contacts = [{ address: HOSTILE, pin: null, did: null, state: "refused", problem, ...tried }];
    bench.node.addition = { outcome: "kept", did: null, problem, retryMsMax: 1_000 };
    bench.node.diagnosis = {
      time: "2026-01-01T00:00:00.000Z",
      checks: [{ name: HOSTILE, state: "failed", found: HOSTILE, fix: HOSTILE, tookMs: 1 }],
    };
    bench.node.sync = [
      {
        ...{ did: "did:key:z6MkLiar", name: HOSTILE, state: "failed", agents: 0, received: 0, total: 0 },
        ...{ syncedRoot: null, targetRoot: null, lastSync: HOSTILE, lastError: HOSTILE },
      },
    ];
    for (const argv of [["status"], ["peer", "list"], ["peer", "add", "https://a.example"], ["sync", "status"], ["doctor"]]) {
      const { stdout, stderr } = await bench.run(argv);
      assert.match(stdout, /evil\.example/, argv.join(" "));
      assert.doesNotMatch(stdout + stderr, OBEYED, argv.join(" "));
      const terminal = new Capture({ isTTY: true });
      await bench.run([...argv, "--json"], { stdout: terminal });
      const piped = await bench.run([...argv, "--json"]);
      assert.doesNotMatch(terminal.text, OBEYED, argv.join(" "));
      // Programs get it as it is, since some of it is checked byte for byte.
      assert.match(piped.stdout, /\u009b2J/u, argv.join(" "));
    }
  });
});
