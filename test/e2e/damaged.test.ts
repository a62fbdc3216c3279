import assert from "node:assert/strict";
import { join } from "node:path";
import { keyOf } from "../../protocols/lib/hash.ts";
import { openLevelStore } from "../../src/adapters/level/level-store.ts";
import type { AgentPage } from "../../src/api.ts";
import { OWN_CATALOGUE, rowKey } from "../../src/catalog/rows.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { Site, type Outcome, type Registry } from "./site.ts";

/** Behind the checksum, in the record. */
const A_BYTE = 40;

/** What a disk may do to a record of a registry that does not run. */
async function spoil(dataDir: string, did: string): Promise<void> {
  const { store } = await openLevelStore({ directory: join(dataDir, "store") });
  const key = rowKey(OWN_CATALOGUE, "record", keyOf(did));
  const value = Buffer.from((await store.get(key)) ?? assert.fail("there is no such record"));
  value[A_BYTE] = (value[A_BYTE] as number) ^ 0x10;
  await store.batch([{ type: "put", key, value }], { durable: true });
  await store.close();
}

describe("e2e rot", function () {
  this.timeout(90_000);
  let site: Site;

  beforeEach(() => {
    site = new Site();
  });
  afterEach(() => site.close());

  it("T45 a list and an export go on without a rotten record, say so and exit 5; written again it is whole", async () => {
    const agents = ["a", "b", "c"].map((name) =>
      JSON.stringify({ humanReadableId: `acme/${name}`, description: "Knows trains." }),
    );
    const file = site.write("agents.jsonl", agents.join("\n"));
    const home = await site.start("home");
    const at = (registry: Registry, ...argv: readonly string[]): Promise<Outcome> =>
      site.run(["agent", ...argv, "--data-dir", registry.dataDir]);
    assert.equal((await at(home, "import", file)).exit, EXIT.ok);
    const whole = await at(home, "export");
    assert.equal((await home.signal("SIGTERM")).exit, EXIT.ok);
    const [lost, kept] = whole.stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { did: string }).did) as [string, string];
    await spoil(home.dataDir, lost);

    const alone = await site.start("home");
    const listed = await at(alone, "list", "--json");
    const page = listed.json<AgentPage>();
    const key = Buffer.from(keyOf(lost)).toString("hex");
    assert.deepEqual([listed.exit, page.agents.length], [EXIT.partial, 2]);
    assert.deepEqual(page.unavailable, [{ registry: home.did, key, reason: "damaged" }]);
    const exported = await at(alone, "export");
    assert.deepEqual([exported.exit, exported.stdout.trim().split("\n").length], [EXIT.partial, 2]);
    assert.match(exported.stderr, /missing: 1 agent/);
    assert.equal((await at(alone, "get", kept)).exit, EXIT.ok);
    const got = await at(alone, "get", lost);
    assert.equal(got.exit, EXIT.failure);
    assert.match(got.stderr, /fails its checksum/);

    // Nobody has a copy: its owner writes it again.
    const again = await at(alone, "import", file, "--json");
    assert.equal(again.exit, EXIT.ok, again.stdout);
    const healed = await at(alone, "export");
    assert.deepEqual([healed.exit, healed.stdout.trim().split("\n").length], [EXIT.ok, 3]);
  });
});
