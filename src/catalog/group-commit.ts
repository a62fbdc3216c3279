import { hex } from "../../protocols/lib/bytes.ts";
import { isMinted, mintDid, publicKeyOfDid } from "../../protocols/lib/did.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { decodeRecord } from "../../protocols/record/codec.ts";
import type { MutationResult } from "../api.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import type { Catalogue, Change } from "./catalogue.ts";
import { nameKey, prepare, write, type Existing, type Prepared, type WriteContext } from "./mutations.ts";
import { reachedRevision } from "./reached.ts";
import { readHolders } from "./names.ts";
import { OWN_CATALOGUE, readIntact, rowKey } from "./rows.ts";
import { tombstoneRevision, tombstoneRow } from "./tombstone.ts";
import type { Mutation } from "../api.ts";

/** A mutation in the queue, with where its result goes. */
export interface Queued {
  readonly mutation: Mutation;
  readonly settle: (result: MutationResult) => void;
}

type Settled = Exclude<Prepared, { refusal: MutationResult }> & { readonly queued: Queued };

/** What the rows say about the agents that a commit touches. */
export interface Lookup {
  readonly agents: ReadonlyMap<string, Existing>;
  /** Name key (hex) → key (hex) of the agent that holds the name without its DID spelling it. */
  readonly names: ReadonlyMap<string, string>;
}

export interface Decided {
  readonly changes: readonly Change[];
  readonly operations: readonly StoreOperation[];
  readonly results: readonly (readonly [Queued, MutationResult])[];
  readonly hlc: string | undefined;
}

/** Settles names and splits what can be decided now from what must wait: one change of an agent in each commit. */
export function collect(
  queue: readonly Queued[],
  home: string,
): { batch: Settled[]; later: Queued[]; refused: (readonly [Queued, MutationResult])[] } {
  const batch: Settled[] = [];
  const later: Queued[] = [];
  const refused: (readonly [Queued, MutationResult])[] = [];
  const taken = new Set<string>();
  for (const queued of queue) {
    const prepared = prepare(queued.mutation, home);
    if ("refusal" in prepared) refused.push([queued, prepared.refusal]);
    else if (taken.has(prepared.did)) later.push(queued);
    else {
      taken.add(prepared.did);
      batch.push({ ...prepared, queued });
    }
  }
  return { batch, later, refused };
}

/** Reads what `decide` needs: published records, the revisions of deleted ones, and who holds the names. Nobody else may write meanwhile. */
export async function lookUp(store: Store, catalogue: Catalogue, batch: readonly Settled[]): Promise<Lookup> {
  const { map, mayHave } = catalogue;
  const tablesOfGone = [mayHave.tombstones && ("tombstone" as const), mayHave.reached && ("reached" as const)];
  const sought = batch.flatMap(({ key }) => {
    const tables = map.get(key) === undefined ? tablesOfGone : ["record" as const];
    return tables.flatMap((table) => (table === false ? [] : [{ key, table }]));
  });
  const rows = await readIntact(
    store,
    sought.map(({ key, table }) => rowKey(OWN_CATALOGUE, table, key)),
  );
  const agents = new Map<string, Existing>();
  sought.forEach(({ key, table }, i) => {
    const row = rows[i];
    if (row instanceof Uint8Array)
      agents.set(hex(key), table === "record" ? { record: row } : { reached: revisionOf(table, row) });
    // What is lost can only be bounded: a version changes an agent once at most, so no revision is above the number of versions.
    else if (row === "damaged" || table === "record") agents.set(hex(key), { reached: catalogue.sequence });
  });
  if (!mayHave.names) return { agents, names: new Map() };
  const names = batch.flatMap(({ fields }) => (fields === undefined ? [] : [nameKey(fields.humanReadableId)]));
  return { agents, names: await readHolders(store, names) };
}

function revisionOf(table: "tombstone" | "reached", row: Uint8Array): number {
  return table === "tombstone" ? tombstoneRevision(row) : reachedRevision(row);
}

/** Decides the batch in order: pure, apart from the clock reading that it carries along. */
export function decide(
  batch: readonly Settled[],
  lookup: Lookup,
  catalogue: Catalogue,
  hlc: string | undefined,
  { home, nowMs }: Pick<WriteContext, "home" | "nowMs">,
): Decided {
  const { epoch, revisionFloor } = catalogue;
  const context: WriteContext = { home, nowMs, epoch, revisionFloor };
  const changes: Change[] = [];
  const operations: StoreOperation[] = [];
  const results: (readonly [Queued, MutationResult])[] = [];
  const names = new Map(lookup.names);
  let clock = hlc;
  for (const item of batch) {
    const existing = lookup.agents.get(hex(item.key)) ?? {};
    const clash = item.fields && nameClash(item.fields.humanReadableId, item, names, catalogue, context.home);
    if (clash !== undefined) {
      results.push([item.queued, clash]);
      continue;
    }
    const written = write(item, existing, clock, context);
    clock = written.hlc;
    results.push([item.queued, written.result]);
    if (written.change === undefined) continue;
    changes.push(written.change);
    if (written.deleted !== undefined) {
      const value = tombstoneRow(written.deleted, context.nowMs, item.did);
      operations.push({ type: "put", key: rowKey(OWN_CATALOGUE, "tombstone", item.key), value });
      catalogue.mayHave.tombstones = true;
    } else if (existing.reached !== undefined) {
      operations.push(
        { type: "del", key: rowKey(OWN_CATALOGUE, "tombstone", item.key) },
        { type: "del", key: rowKey(OWN_CATALOGUE, "reached", item.key) },
      );
    }
    if (isMinted(item.did)) {
      // No row: its DID spells the name. The rest of the batch has to know it all the same.
      if (item.fields !== undefined) names.set(hex(nameKey(item.fields.humanReadableId)), hex(item.key));
    } else {
      operations.push(...nameOperations(item, existing, names));
      catalogue.mayHave.names = true;
    }
  }
  return { changes, operations, results, hlc: clock };
}

/** `humanReadableId` is unique within a home: held by a minted DID that spells it, or by the row of another DID. */
function nameClash(
  name: string,
  item: Settled,
  names: ReadonlyMap<string, string>,
  catalogue: Catalogue,
  home: string,
): MutationResult | undefined {
  const holder = names.size === 0 ? undefined : names.get(hex(nameKey(name)));
  const spelled = (): boolean => catalogue.map.get(keyOf(mintDid(publicKeyOfDid(home), name))) !== undefined;
  const taken = holder !== undefined ? holder !== hex(item.key) : !isMinted(item.did) && spelled();
  if (!taken) return undefined;
  return { outcome: "refused", did: item.did, code: "name_taken", reason: `another agent here is called "${name}"` };
}

function nameOperations(item: Settled, existing: Existing, names: Map<string, string>): StoreOperation[] {
  const operations: StoreOperation[] = [];
  const before = existing.record && decodeRecord(existing.record).humanReadableId;
  if (before !== undefined && before !== item.fields?.humanReadableId) {
    operations.push({ type: "del", key: rowKey(OWN_CATALOGUE, "name", nameKey(before)) });
    names.delete(hex(nameKey(before)));
  }
  if (item.fields !== undefined) {
    const name = nameKey(item.fields.humanReadableId);
    operations.push({ type: "put", key: rowKey(OWN_CATALOGUE, "name", name), value: item.key });
    names.set(hex(name), hex(item.key));
  }
  return operations;
}
