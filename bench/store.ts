import { fork } from "node:child_process";
import { hash } from "node:crypto";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checksummed } from "../src/adapters/checksum/store.ts";
import { openLevelStore } from "../src/adapters/level/level-store.ts";
import type { LevelOptions } from "../src/adapters/level/options.ts";
import { MemoryStore } from "../src/adapters/memory/store.ts";
import type { Store, StoreOperation } from "../src/ports/store.ts";

/**
 * What the store takes and gives: records written in atomic batches, read back one by one, in groups and by scan. Each variant
 * runs in a process of its own, so that its peak of resident memory is its own.
 */

interface Variant {
  readonly name: string;
  readonly engine: "level" | "memory";
  readonly checksums: boolean;
  readonly durable?: boolean;
  readonly tuning?: Partial<LevelOptions>;
}

interface Row {
  readonly variant: string;
  readonly putsPerSecond: number;
  readonly writeSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMegabytes: number;
  readonly diskMegabytes: number;
  readonly getMicroseconds: number;
  readonly getManyMicroseconds: number;
  readonly scanEntriesPerSecond: number;
}

const MEBIBYTE = 1_048_576;
const GETS = 20_000;
const GET_MANY_KEYS = 256;
const STOCK = (
  "translation summary research planner invoice travel weather legal medical support ticket search image audio video code review " +
  "test deploy monitor finance tax audit music story poem recipe fitness garden history physics chemistry biology math essay mail " +
  "calendar meeting notes contract policy risk market price stock sales lead campaign brand design layout color font logo"
).split(" ");
/** What LevelDB's binding takes when it is told nothing. */
const ENGINE_DEFAULTS: Partial<LevelOptions> = {
  writeBufferSize: 4 * MEBIBYTE,
  cacheSize: 8 * MEBIBYTE,
  maxFileSize: 2 * MEBIBYTE,
  maxOpenFiles: 1_000,
  blockSize: 4_096,
  compression: true,
};
const VARIANTS: readonly Variant[] = [
  { name: "as tuned, checksums", engine: "level", checksums: true },
  { name: "as tuned, no checksums", engine: "level", checksums: false },
  { name: "each batch durable", engine: "level", checksums: true, durable: true },
  { name: "no compression", engine: "level", checksums: true, tuning: { compression: false } },
  { name: "engine's own defaults", engine: "level", checksums: true, tuning: ENGINE_DEFAULTS },
  { name: "write buffer 4 MiB", engine: "level", checksums: true, tuning: { writeBufferSize: 4 * MEBIBYTE } },
  { name: "write buffer 32 MiB", engine: "level", checksums: true, tuning: { writeBufferSize: 32 * MEBIBYTE } },
  { name: "tables of 2 MiB", engine: "level", checksums: true, tuning: { maxFileSize: 2 * MEBIBYTE } },
  { name: "tables of 16 MiB", engine: "level", checksums: true, tuning: { maxFileSize: 16 * MEBIBYTE } },
  { name: "1,000 open tables", engine: "level", checksums: true, tuning: { maxOpenFiles: 1_000 } },
  { name: "blocks of 16 KiB", engine: "level", checksums: true, tuning: { blockSize: 16_384 } },
  { name: "cache of 64 MiB", engine: "level", checksums: true, tuning: { cacheSize: 64 * MEBIBYTE } },
  { name: "memory twin", engine: "memory", checksums: false },
];

/** Where a record's own hash begins: behind `{"did":"did:theprotocol:k51qzi5uqu5d`. */
const DIGEST_OFFSET = 36;

const { values: flags } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    records: { type: "string", default: "1000000" },
    bytes: { type: "string", default: "580" },
    batch: { type: "string", default: "256" },
    /** Only variants whose name holds this text. */
    only: { type: "string", default: "as tuned" },
    all: { type: "boolean", default: false },
    /** `ascending`: keys come in their order, as in a full sync; `random`: in none, as in an import. */
    order: { type: "string", default: "ascending" },
    measure: { type: "string" },
  },
});
const RECORDS = Number(flags.records);
const RECORD_BYTES = Number(flags.bytes);
const BATCH_RECORDS = Number(flags.batch);

async function report(): Promise<void> {
  const rows: Row[] = [];
  for (const { name } of VARIANTS.filter((variant) => flags.all || variant.name.includes(flags.only))) {
    rows.push(await measureApart(name));
    if (!flags.json) process.stderr.write(`${name} done\n`);
  }
  const result = {
    bench: "store",
    order: flags.order,
    records: RECORDS,
    recordBytes: RECORD_BYTES,
    batchRecords: BATCH_RECORDS,
    rows,
  };
  if (flags.json) process.stdout.write(JSON.stringify(result) + "\n");
  else console.table(Object.fromEntries(rows.map(({ variant, ...numbers }) => [variant, numbers])));
}

function measureApart(name: string): Promise<Row> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL(import.meta.url).pathname, [...process.argv.slice(2), "--measure", name]);
    child.once("message", (row) => resolve(row as Row));
    child.once("exit", (code) => reject(new Error(`the measurement of "${name}" ended with code ${code}`)));
  });
}

async function measure(variant: Variant): Promise<Row> {
  const directory = await mkdtemp(join(tmpdir(), "registry-bench-"));
  try {
    const store = await openVariant(variant, directory);
    const cpuStart = process.cpuUsage();
    const writeSeconds = await secondsOf(() => writeAll(store, variant.durable ?? false));
    const cpu = process.cpuUsage(cpuStart);
    const peakRssMegabytes = Math.round(process.resourceUsage().maxRSS / 1_024);
    const getSeconds = await secondsOf(() => readSingly(store));
    const getManySeconds = await secondsOf(() => readInGroups(store));
    const scanSeconds = await secondsOf(() => scanAll(store));
    await store.close();
    return {
      variant: variant.name,
      putsPerSecond: Math.round(RECORDS / writeSeconds),
      writeSeconds: round(writeSeconds),
      cpuSeconds: round((cpu.user + cpu.system) / 1e6),
      peakRssMegabytes,
      diskMegabytes: Math.round((await bytesIn(directory)) / MEBIBYTE),
      getMicroseconds: round((getSeconds / GETS) * 1e6),
      getManyMicroseconds: round((getManySeconds / GETS) * 1e6),
      scanEntriesPerSecond: Math.round(RECORDS / scanSeconds),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function openVariant(variant: Variant, directory: string): Promise<Store> {
  if (variant.engine === "memory") return new MemoryStore();
  const { store } = await openLevelStore({ directory, ...(variant.tuning === undefined ? {} : { tuning: variant.tuning }) });
  return variant.checksums ? checksummed(store) : store;
}

async function writeAll(store: Store, durable: boolean): Promise<void> {
  for (let first = 0; first < RECORDS; first += BATCH_RECORDS) {
    const operations: StoreOperation[] = [];
    const end = Math.min(first + BATCH_RECORDS, RECORDS);
    for (let i = first; i < end; i++) operations.push({ type: "put", key: keyOf(i), value: recordOf(i) });
    // A bulk answer is durable once, with its last batch.
    await store.batch(operations, { durable: durable || end === RECORDS });
  }
}

async function readSingly(store: Store): Promise<void> {
  for (let i = 0; i < GETS; i++) {
    if ((await store.get(keyOf(scattered(i)))) === undefined) throw new Error("a record is missing");
  }
}

async function readInGroups(store: Store): Promise<void> {
  for (let first = 0; first < GETS; first += GET_MANY_KEYS) {
    const keys = Array.from({ length: Math.min(GET_MANY_KEYS, GETS - first) }, (_, j) => keyOf(scattered(GETS + first + j)));
    if ((await store.getMany(keys)).includes(undefined)) throw new Error("a record is missing");
  }
}

async function scanAll(store: Store): Promise<void> {
  let entries = 0;
  for await (const chunk of store.scan({ from: Buffer.of(1), to: Buffer.of(2) })) entries += chunk.length;
  if (entries !== RECORDS) throw new Error(`scanned ${entries} of ${RECORDS} records`);
}

/** Map keys are hashes. */
function keyOf(i: number): Uint8Array {
  const key = Buffer.allocUnsafe(35);
  key.writeUIntBE(0x010000, 0, 3);
  key.write(hash("sha256", String(i), "binary"), 3, "latin1");
  if (flags.order === "ascending") key.writeUInt32BE(i, 3);
  return key;
}

function scattered(i: number): number {
  return (i * 7_919 + 13) % RECORDS;
}

/** Making a record must cost little beside writing it: a few thousand texts, each copy with a hash of its own. */
const TEXTS = 4_096;
const texts: readonly Buffer[] = Array.from({ length: TEXTS }, (_, i) => textOf(i));

function recordOf(i: number): Uint8Array {
  const record = Buffer.from(texts[i % TEXTS] as Buffer);
  record.write(hash("sha256", String(i), "hex"), DIGEST_OFFSET, "latin1");
  return record;
}

/** JSON that compresses about as a real record does: fixed field names, words from a small stock, hashes. */
function textOf(i: number): Buffer {
  const digest = hash("sha256", `record ${i}`, "hex");
  const words = Array.from({ length: 30 }, (_, j) => STOCK[(Math.imul(i + 1, 0x9e3779b1 + j * 2_654_435) >>> 0) % STOCK.length]);
  const text = JSON.stringify({
    did: `did:theprotocol:k51qzi5uqu5d${digest}:acme:agent-${i}`,
    capabilities: [`${words[0]}/${words[1]}`],
    description: words.join(" "),
    endpoints: [{ protocol: "a2a", url: `https://agents.example/${words[2]}/${i}` }],
    name: `${words[3]} ${words[4]} ${i}`,
    prev: digest,
  });
  return Buffer.from(text.padEnd(RECORD_BYTES, digest).slice(0, RECORD_BYTES));
}

async function bytesIn(directory: string): Promise<number> {
  const sizes = await Promise.all((await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1_000;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

if (flags.measure === undefined) await report();
else process.send?.(await measure(VARIANTS.find((variant) => variant.name === flags.measure) as Variant));
