import { z } from "zod";
import { decodeCommit } from "../checkpoint/commit.ts";
import { decodeMultiproof, encodeMultiproof, MULTIPROOF_BYTES_MAX } from "../checkpoint/map-multiproof.ts";
import { base64, fromBase64 } from "../lib/bytes.ts";
import { JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { DID_LENGTH_MAX, isDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { RECORD_BYTES_MAX } from "../record/record.ts";
import {
  type CatalogPage,
  PAGE_CHANGES_MAX,
  PAGE_CURSOR_LENGTH_MAX,
  PAGE_LOG_LEAVES_MAX,
  PAGE_RECORD_BYTES_MAX,
  type PageChange,
  type PageRequest,
  type ProofFormat,
} from "./catalog-page.ts";
import { canonicalBytes, embedded, HEAD_DOCUMENT_BYTES_MAX, headDocument, headMembers, readHead } from "./head-document.ts";
import {
  checkDocument,
  encodeDocument,
  FRAME_BYTES_MAX,
  fromHexText,
  hashText,
  hexText,
  readDocument,
  type Spliced,
} from "./json-document.ts";
import {
  MERKLE_PROOF_BYTES_MAX,
  MERKLE_PROOF_ITEM_LENGTH_MAX,
  MERKLE_PROOF_ITEMS_MAX,
  readMerkleProof,
  writeMerkleProof,
} from "./merkle-proof.ts";
import { cursorText, readTime, timeText, writeTime } from "./page-request.ts";

export { decodePageRequest, encodePageRequest, PAGE_REQUEST_BYTES_MAX, pageRequestSchema } from "./page-request.ts";

/** The answer of `POST /federation/sync/catalog` (rest.md). Records and commits are written as they are stored, never parsed. */

/** Operation and names of one change. */
const CHANGE_FRAME_BYTES_MAX = 64;
const MULTIPROOF_LENGTH_MAX = base64Length(MULTIPROOF_BYTES_MAX);
const LOG_LEAVES_LENGTH_MAX = base64Length(PAGE_LOG_LEAVES_MAX * HASH_BYTES);
/** The page stands two levels above its changes, and a record one more below them. */
const DEPTH_MAX = JSON_DEPTH_MAX + 3;

/** Bytes of the longest page with proofs of the given form; agents' names can be chosen so that proofs become long. */
export function pageBytesMax(proofs: ProofFormat): number {
  const records = PAGE_RECORD_BYTES_MAX + RECORD_BYTES_MAX;
  const changes = PAGE_CHANGES_MAX * (CHANGE_FRAME_BYTES_MAX + DID_LENGTH_MAX);
  const proof = { change: PAGE_CHANGES_MAX * MERKLE_PROOF_BYTES_MAX, multi: MULTIPROOF_LENGTH_MAX, none: 0 }[proofs];
  return records + changes + proof + LOG_LEAVES_LENGTH_MAX + HEAD_DOCUMENT_BYTES_MAX + PAGE_CURSOR_LENGTH_MAX + FRAME_BYTES_MAX;
}

export const PAGE_BYTES_MAX: number = pageBytesMax("change");

const merkleProof = z
  .array(z.string().max(MERKLE_PROOF_ITEM_LENGTH_MAX))
  .max(MERKLE_PROOF_ITEMS_MAX)
  .optional()
  .meta({ description: "siblings from the deepest level to the root, 0x hex; of a DELETE the other leaf may come first" });

const putShape = z.looseObject({
  operation: z.enum(["CREATE", "UPDATE"]),
  agent: embedded("the agent's record; its canonical form is what the proof proves"),
  merkle_proof: merkleProof,
});

const deleteShape = z.looseObject({
  operation: z.literal("DELETE"),
  agent: z.looseObject({ did: z.string().max(DID_LENGTH_MAX).refine(isDid, "not a DID") }),
  merkle_proof: merkleProof,
});

const pageShape = z.looseObject({
  changes: z.array(z.discriminatedUnion("operation", [putShape, deleteShape])).max(PAGE_CHANGES_MAX),
  new_merkle_root: hashText,
  sync_timestamp: timeText,
  proof_root: hashText.meta({ description: "map root of the commit, under which the proofs verify" }),
  ...headMembers,
  next_cursor: cursorText.nullish(),
  multiproof: z.string().max(MULTIPROOF_LENGTH_MAX).optional().meta({ description: "one proof for all changes, base64" }),
  log_leaves: z.string().max(LOG_LEAVES_LENGTH_MAX).optional().meta({ description: "leaf hashes of the log, base64" }),
});

export const catalogPageSchema: z.ZodType = pageShape;

/** @throws ProtocolError `schema` for a page that is not what the request asked for, and those of `encodeMultiproof` */
export function encodePage(page: CatalogPage, { proofs }: PageRequest): Uint8Array {
  const needsMultiproof = proofs === "multi" && page.changes.length > 0;
  if (needsMultiproof && page.multiproof === undefined) throw new ProtocolError("schema", "a page with proofs multi has none");
  return encodeDocument({
    changes: page.changes.map((change) => changeDocument(change, proofs === "change")),
    new_merkle_root: hexText(page.syncedRoot),
    sync_timestamp: writeTime(page.syncedAtMs),
    proof_root: `0x${decodeCommit(page.head.commit).roots.map}`,
    ...headDocument(page.head),
    next_cursor: page.nextCursor,
    multiproof: needsMultiproof && page.multiproof !== undefined ? base64(encodeMultiproof(page.multiproof)) : undefined,
    log_leaves: page.logLeaves && base64(page.logLeaves),
  });
}

function changeDocument(change: PageChange, isProven: boolean): Spliced {
  if (isProven && change.proof === undefined) throw new ProtocolError("schema", `the change of ${change.did} has no proof`);
  const proof = isProven && change.proof !== undefined ? writeMerkleProof(change.proof) : undefined;
  const agent = change.op === "delete" ? { did: change.did } : change.record;
  return { operation: change.op.toUpperCase(), agent, merkle_proof: proof };
}

/**
 * Checks the form and the bounds; `verifyCatalogPage` does the rest. Record and commit bytes are the canonical form of what came.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key`, `schema`, `limit_exceeded`,
 *   `bad_base64`, and those of `decodeCommit` and `decodeMultiproof`
 */
export function decodePage(bytes: Uint8Array): CatalogPage {
  const document = checkDocument(pageShape, readDocument(bytes, PAGE_BYTES_MAX, DEPTH_MAX));
  const head = readHead(document);
  if (document.proof_root !== `0x${decodeCommit(head.commit).roots.map}`) {
    throw new ProtocolError("schema", "proof_root: not the map root of the commit");
  }
  const changes = document.changes.map(readChange);
  const recordBytes = changes.reduce((sum, change) => sum + (change.op === "delete" ? 0 : change.record.length), 0);
  if (recordBytes > PAGE_RECORD_BYTES_MAX + RECORD_BYTES_MAX) {
    throw new ProtocolError("too_large", `changes: ${recordBytes} bytes of records in one page`, { bytes: recordBytes });
  }
  const nextCursor = document.next_cursor ?? undefined;
  return {
    changes,
    head,
    ...(document.multiproof !== undefined && { multiproof: decodeMultiproof(fromBase64(document.multiproof)) }),
    syncedRoot: fromHexText(document.new_merkle_root),
    syncedAtMs: readTime(document.sync_timestamp),
    ...(nextCursor !== undefined && { nextCursor }),
    ...(document.log_leaves !== undefined && { logLeaves: readLeaves(document.log_leaves) }),
  };
}

function readChange(document: z.infer<typeof pageShape>["changes"][number]): PageChange {
  const isDelete = document.operation === "DELETE";
  const proof = document.merkle_proof && { proof: readMerkleProof(document.merkle_proof, isDelete) };
  if (isDelete) return { op: "delete", did: document.agent.did, ...proof };
  const record = canonicalBytes(document.agent, RECORD_BYTES_MAX, "agent");
  const { did } = document.agent as { readonly did?: unknown };
  if (typeof did !== "string" || !isDid(did)) throw new ProtocolError("schema", "agent.did: not a DID");
  return { op: document.operation === "CREATE" ? "create" : "update", did, record, ...proof };
}

function readLeaves(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes.length % HASH_BYTES === 0) return bytes;
  throw new ProtocolError("schema", `log_leaves: ${bytes.length} bytes are not whole hashes of ${HASH_BYTES}`);
}

/** Characters of padded base64. */
function base64Length(bytes: number): number {
  return 4 * Math.ceil(bytes / 3);
}
