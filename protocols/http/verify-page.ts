import { type VerifiedHead, verifyHead } from "../checkpoint/head.ts";
import { EMPTY } from "../checkpoint/map.ts";
import { type Claim, verifyMultiproof } from "../checkpoint/map-multiproof.ts";
import { verifyAbsence, verifyInclusion } from "../checkpoint/map-proof.ts";
import { compare, equal, fromHex, fromUtf8 } from "../lib/bytes.ts";
import { parseJson } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES, keyOf, valueOf } from "../lib/hash.ts";
import { type CatalogPage, PAGE_LOG_LEAVES_MAX, type PageChange, type PageRequest } from "./catalog-page.ts";

/** What the asker knows about the page that it asked for. */
export interface PageExpectation {
  readonly request: PageRequest;
  /** DID of the registry whose catalogue it is. */
  readonly did: string;
  /** Epoch that the page must be of; any by default. */
  readonly epoch?: number;
  /** `lastKey` of the page before, which the keys of this one must follow. */
  readonly after?: Uint8Array;
}

export interface VerifiedPage {
  readonly head: VerifiedHead;
  /**
   * Whether the changes are proven by the head; `false` with proofs `none`. Never says that they are *all* changes: that shows
   * only when the whole map is compared with the signed root.
   */
  readonly proven: boolean;
  /** Key of each change in the page's order, and its value, `undefined` for a delete. */
  readonly claims: readonly Claim[];
  /** Key of the last change; `after` when there is none. */
  readonly lastKey: Uint8Array | undefined;
}

/**
 * Everything about a page that can be checked without the catalogue at hand (T30). Nothing of a page that fails may be used.
 * @throws ProtocolError `wrong_registry`, `wrong_epoch`, `limit_exceeded`, `out_of_order`, `wrong_key`, `bad_proof`, `schema`,
 *   and those of `verifyHead`
 */
export function verifyCatalogPage(page: CatalogPage, expected: PageExpectation): VerifiedPage {
  const head = verifyHead(page.head);
  const { checkpoint, commit } = head;
  if (checkpoint.did !== expected.did) {
    throw new ProtocolError("wrong_registry", `a page of ${checkpoint.did}, asked was ${expected.did}`);
  }
  if (expected.epoch !== undefined && checkpoint.epoch !== expected.epoch) {
    throw new ProtocolError("wrong_epoch", `a page of epoch ${checkpoint.epoch}, expected was ${expected.epoch}`);
  }
  const { limit, proofs, logSize } = expected.request;
  if (page.changes.length > limit) {
    throw new ProtocolError("limit_exceeded", `${page.changes.length} changes, asked were ${limit}`, { limit });
  }
  const root = fromHex(commit.roots.map, HASH_BYTES);
  checkSyncedRoot(page, expected.request, root);
  checkLeaves(page.logLeaves, logSize, checkpoint.size);
  const claims = page.changes.map(claimOf);
  checkOrder(claims, expected.after);
  if (proofs === "change") page.changes.forEach((change, index) => checkProof(root, claims[index] as Claim, change));
  if (proofs === "multi") checkMultiproof(root, claims, page.multiproof);
  return { head, proven: proofs !== "none", claims, lastKey: claims.at(-1)?.[0] ?? expected.after };
}

/** A map key, and the value that the page says stands there. */
function claimOf(change: PageChange): Claim {
  const key = keyOf(change.did);
  if (change.op === "delete") return [key, undefined];
  const { did } = parseJson(fromUtf8(change.record)) as { readonly did?: unknown };
  if (did !== change.did) throw new ProtocolError("wrong_key", `the record of ${change.did} names another DID`);
  return [key, valueOf(change.record)];
}

function checkOrder(claims: readonly Claim[], after: Uint8Array | undefined): void {
  let last = after;
  claims.forEach(([key], index) => {
    if (last !== undefined && compare(last, key) >= 0) {
      throw new ProtocolError("out_of_order", `change ${index} does not follow the one before by its key`, { index });
    }
    last = key;
  });
}

function checkProof(root: Uint8Array, [key, value]: Claim, change: PageChange): void {
  if (change.proof === undefined) throw bad(`the change of ${change.did} has no proof`);
  if (value === undefined) verifyAbsence(root, key, change.proof);
  else verifyInclusion(root, key, value, change.proof);
}

function checkMultiproof(root: Uint8Array, claims: readonly Claim[], proof: CatalogPage["multiproof"]): void {
  if (claims.length === 0) return;
  if (proof === undefined) throw bad("the page has no proof");
  verifyMultiproof(root, claims, proof);
}

/** What can be known of it without the other pages: a whole answer gives the page's own version, a first page the base. */
function checkSyncedRoot(page: CatalogPage, request: PageRequest, root: Uint8Array): void {
  const isWhole = page.nextCursor === undefined && request.cursor === undefined;
  const fromStart = request.baseRoot === undefined && request.lastSyncMs === undefined;
  const base = request.baseRoot ?? (fromStart ? EMPTY : undefined);
  const due = isWhole ? root : page.nextCursor === undefined ? undefined : base;
  if (due !== undefined && !equal(page.syncedRoot, due)) {
    throw new ProtocolError("schema", "new_merkle_root is not what this page completes");
  }
}

function checkLeaves(leaves: Uint8Array | undefined, logSize: number | undefined, size: number): void {
  if (leaves === undefined) return;
  const count = leaves.length / HASH_BYTES;
  if (logSize === undefined || !Number.isInteger(count) || count > PAGE_LOG_LEAVES_MAX || logSize + count > size) {
    throw new ProtocolError("limit_exceeded", `${count} leaf hashes of a log of ${size}, asked was from ${logSize ?? "nowhere"}`);
  }
}

function bad(message: string): ProtocolError {
  return new ProtocolError("bad_proof", message);
}
