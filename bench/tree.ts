import { encodeMapProof, prove } from "../protocols/checkpoint/map-proof.ts";
import { sha256 } from "../protocols/lib/hash.ts";
import { MapHeap } from "../src/catalog/tree/map-heap.ts";
import { mapReader } from "../src/catalog/tree/reader.ts";
import { LEAF_BYTES } from "../src/catalog/tree/slab.ts";
import { changesFrontier, fold, wholeFrontier } from "../src/catalog/tree/subtrees.ts";

/** The authenticated map at size: `node bench/tree.ts [--json]`. Times are the best of ROUNDS, in milliseconds. */
const LEAVES = 1_000_000;
const UPDATES = 1_000;
const PROOFS = 10_000;
const BATCH_CHANGES = 256;
const ROUNDS = 5;
const MEBIBYTE = 1_048_576;

const entries = Buffer.allocUnsafe(LEAVES * LEAF_BYTES);
for (let i = 0; i < LEAVES * 2; i++) entries.set(sha256(Buffer.from(`entry ${i}`)), (i * LEAF_BYTES) / 2);
const keyAt = (i: number): Uint8Array => entries.subarray(i * LEAF_BYTES, i * LEAF_BYTES + LEAF_BYTES / 2);
const valueAt = (i: number): Uint8Array => entries.subarray(i * LEAF_BYTES + LEAF_BYTES / 2, (i + 1) * LEAF_BYTES);

function build(reserve: boolean): MapHeap {
  const map = new MapHeap();
  if (reserve) map.reserve(LEAVES);
  for (let i = 0; i < LEAVES; i++) map.set(keyAt(i), valueAt(i));
  map.update();
  return map;
}

let generation = 0;
function update(map: MapHeap): void {
  generation += 1;
  for (let i = 0; i < UPDATES; i++) map.set(keyAt((i * 997) % LEAVES), sha256(Buffer.from(`value ${generation} ${i}`)));
  map.update();
  map.root();
}

function best(run: () => void, rounds: number = ROUNDS): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    run();
    bestMs = Math.min(bestMs, performance.now() - start);
  }
  return Number(bestMs.toFixed(2));
}

const before = process.memoryUsage().arrayBuffers;
const map = build(true);
const memoryMegabytes = Number(((process.memoryUsage().arrayBuffers - before) / MEBIBYTE).toFixed(1));
const bytes = Array.from({ length: PROOFS }, (_, i) => encodeMapProof(prove(mapReader(map), keyAt(i * 97)).proof).length);
const changed = Array.from({ length: UPDATES }, (_, i) => keyAt((i * 997) % LEAVES)).sort((a, b) => Buffer.compare(a, b));
const frontier = changesFrontier(map, changed, BATCH_CHANGES);

const results = [
  { what: `build ${LEAVES.toLocaleString("en")}, room made ahead`, milliseconds: best(() => build(true), 2) },
  { what: `build ${LEAVES.toLocaleString("en")}, growing`, milliseconds: best(() => build(false), 2) },
  { what: `${UPDATES.toLocaleString("en")} updates and root`, milliseconds: best(() => update(map)) },
  { what: "one update and root", milliseconds: best(() => (map.set(keyAt(generation++), keyAt(1)), map.update()), 100) },
  {
    what: `${PROOFS.toLocaleString("en")} inclusion proofs`,
    milliseconds: best(() => bytes.forEach((_, i) => prove(mapReader(map), keyAt(i)))),
  },
  { what: "frontier of everything", milliseconds: best(() => wholeFrontier(map, BATCH_CHANGES)) },
  {
    what: `frontier of ${UPDATES.toLocaleString("en")} changes`,
    milliseconds: best(() => changesFrontier(map, changed, BATCH_CHANGES)),
  },
  { what: `fold of ${frontier.length} subtrees`, milliseconds: best(() => fold(map, frontier)) },
];
const proofBytes = { mean: Math.round(bytes.reduce((sum, n) => sum + n, 0) / PROOFS), max: Math.max(...bytes) };
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ leaves: LEAVES, depth: map.depth, memoryMegabytes, proofBytes, results }));
} else {
  console.table(results);
  console.log(`depth ${map.depth}, ${memoryMegabytes} MB, inclusion proof ${proofBytes.mean} bytes (at most ${proofBytes.max})`);
}
