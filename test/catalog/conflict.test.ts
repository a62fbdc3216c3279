import assert from "node:assert/strict";
import fc from "fast-check";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { resolveClaims, type Claim, type Standing } from "../../src/catalog/conflict.ts";

const HOMES = ["did:web:a.example", "did:web:b.example", "did:web:c.example"];

function claim(home: string, standing: Standing, verified: boolean, set: Partial<AgentRecord> = {}): Claim {
  const record: AgentRecord = {
    did: "did:web:agent.example",
    humanReadableId: "acme/translator",
    name: "Translator",
    description: "",
    capabilities: [],
    tags: [],
    endpoints: [],
    version: "1",
    status: "active",
    registry: home,
    epoch: 0,
    revision: 1,
    hlc: "0190a1b2c3d40000",
    ...set,
  };
  return { home, record, verified, standing };
}

const SIGNATURE = `${"A".repeat(86)}==`;

const anyClaim = fc
  .record({
    home: fc.constantFrom(...HOMES),
    signed: fc.boolean(),
    epoch: fc.nat(2),
    revision: fc.integer({ min: 1, max: 3 }),
    hlc: fc.constantFrom("0190a1b2c3d40000", "0190a1b2c3d40001", "0190a1b2c3d50000"),
    name: fc.constantFrom("x", "y"),
  })
  .map(({ home, signed, ...set }) => {
    const standing = (["own", "active", "probation"] as const)[HOMES.indexOf(home)] as Standing;
    return claim(home, standing, signed, { ...set, ...(signed && { agent_signature: SIGNATURE }) });
  });

describe("resolveClaims", () => {
  it("T33 T35 the same claims in any order give the same winner, and all are kept", () => {
    const shuffled = fc
      .array(anyClaim, { maxLength: 8 })
      .chain((claims) =>
        fc
          .shuffledSubarray(claims, { minLength: claims.length, maxLength: claims.length })
          .map((other) => [claims, other] as const),
      );
    fc.assert(
      fc.property(shuffled, ([claims, other]) => {
        const [one, two] = [resolveClaims(claims), resolveClaims(other)];
        assert.deepEqual(one.winner, two.winner);
        assert.deepEqual(one.claims, two.claims);
        assert.equal(one.claims.length, claims.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it("T33 a home that loses changes nothing for the others by being there", () => {
    fc.assert(
      fc.property(fc.array(anyClaim, { minLength: 1, maxLength: 6 }), (claims) => {
        const { winner } = resolveClaims(claims);
        const loser = claims.find((one) => one.home !== winner?.home)?.home;
        assert.deepEqual(resolveClaims(claims.filter((one) => one.home !== loser)).winner, winner);
      }),
      { numRuns: 2_000 },
    );
  });

  const wins = (better: Claim, worse: Claim): void => {
    for (const claims of [
      [better, worse],
      [worse, better],
    ])
      assert.equal(resolveClaims(claims).winner, better);
  };
  const [a, b] = HOMES as [string, string, string];

  it("T33 verified control comes before standing", () => {
    wins(claim(a, "probation", true), claim(b, "own", false, { hlc: "0190a1b2c3d50000" }));
  });

  it("T33 standing comes before the last write", () => {
    wins(claim(a, "active", false), claim(b, "probation", false, { hlc: "0190a1b2c3d50000" }));
    wins(claim(a, "own", false), claim(b, "active", false, { hlc: "0190a1b2c3d50000" }));
  });

  it("T33 the last write comes before the hash", () => {
    wins(claim(a, "active", false, { hlc: "0190a1b2c3d40001" }), claim(b, "active", false));
  });

  it("T33 an isolated home never wins, not even alone, and its claim is kept", () => {
    wins(claim(a, "probation", false), claim(b, "isolated", true));
    const alone = resolveClaims([claim(b, "isolated", true)]);
    assert.equal(alone.winner, undefined);
    assert.equal(alone.claims.length, 1);
  });

  it("T35 of two revisions of one home the higher wins, whatever the clock said", () => {
    wins(claim(a, "active", false, { revision: 2 }), claim(a, "active", false, { hlc: "0190a1b2c3d50000" }));
    wins(claim(a, "active", false, { epoch: 1 }), claim(a, "active", false, { revision: 9 }));
  });

  it("T57 a huge revision or epoch wins nothing from another home without the agent's signature", () => {
    const huge = { revision: 281_474_976_710_655, epoch: 4_294_967_295 };
    wins(claim(a, "active", false, { hlc: "0190a1b2c3d40001" }), claim(b, "active", false, huge));
  });

  it("T35 under the agent's signature the higher revision wins from home to home", () => {
    const signed = { agent_signature: SIGNATURE };
    wins(claim(a, "active", true, { ...signed, revision: 2 }), claim(b, "active", true, { ...signed, hlc: "0190a1b2c3d50000" }));
  });
});
