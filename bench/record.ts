import { generateKeyPairSync } from "node:crypto";
import { decodeCanonical } from "../protocols/lib/canonical.ts";
import { didKey, mintDid } from "../protocols/lib/did.ts";
import { keyOf } from "../protocols/lib/hash.ts";
import { admit, decodeRecord, encodeRecord } from "../protocols/record/codec.ts";
import { RECORD_BYTES_MAX } from "../protocols/record/record.ts";
import { checkRecord } from "../protocols/record/schema.ts";

/** What the check of a replicated record costs, in microseconds a record: `node bench/record.ts [--json]`. */
const RECORDS = 20_000;
const ROUNDS = 15;

const key = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).subarray(12);
const home = didKey(key);
const records = Array.from({ length: RECORDS }, (_, i) => {
  const humanReadableId = `org-${i % 97}/agent-${i}`;
  return encodeRecord({
    did: mintDid(key, humanReadableId),
    humanReadableId,
    name: `Agent ${i}`,
    description: "Translates text between languages and keeps the tone of the original, line by line.",
    capabilities: ["category/translation", `translation/en-${i % 50}`],
    tags: ["fast", "demo"],
    endpoints: [{ url: `https://agents.example.org/${i}`, protocol: "a2a/jsonrpc" }],
    version: "1.0.0",
    status: "active",
    registry: home,
    epoch: 0,
    revision: 1,
    hlc: "0190a1b2c3d40000",
    reputation_score: (i % 101) / 100,
  });
});
const keys = records.map((bytes) => keyOf(decodeRecord(bytes).did));
const texts = records.map((bytes) => Buffer.from(bytes).toString());
const context = { home, epoch: 0, nowMs: Date.now() };

const at = <T>(items: readonly T[], i: number): T => items[i] as T;
const cases: Readonly<Record<string, (i: number) => unknown>> = {
  admit: (i) => admit(at(records, i), at(keys, i), context),
  "of it: decodeRecord": (i) => decodeRecord(at(records, i)),
  "of it: keyOf": (i) => keyOf(`did:web:agents.example.org:a-name-as-long-as-a-minted-one-has-it:agent:number:${i}`),
  "beside it: JSON.parse alone": (i) => JSON.parse(at(texts, i)) as unknown,
  "beside it: parse, encode again, check fields": (i) => checkRecord(decodeCanonical(at(records, i), RECORD_BYTES_MAX)),
};

const results = Object.entries(cases).map(([name, run]) => ({ name, microseconds: Number(fastest(run).toFixed(2)) }));
if (process.argv.includes("--json")) console.log(JSON.stringify({ records: RECORDS, bytes: at(records, 0).length, results }));
else console.table(results);

/** The fastest round: the others measure what else the machine did. */
function fastest(run: (i: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < RECORDS; i++) run(i);
    best = Math.min(best, ((performance.now() - start) * 1_000) / RECORDS);
  }
  return best;
}
