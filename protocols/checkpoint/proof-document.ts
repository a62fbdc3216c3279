import { fromHex, hex } from "../lib/bytes.ts";
import { encodeCanonical, type Json, JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES, keyOf, valueOf } from "../lib/hash.ts";
import { admit, decodeRecord } from "../record/codec.ts";
import { hlcTime } from "../record/hlc.ts";
import type { AgentRecord } from "../record/record.ts";
import { type Commit, decodeCommit } from "./commit.ts";
import { commitLeafHash, LOG_PROOF_HASHES_MAX, verifyLogInclusion } from "./log-proof.ts";
import { KEY_BITS } from "./map.ts";
import { type MapProof, verifyInclusion } from "./map-proof.ts";
import { type Checkpoint, openCheckpoint } from "./note.ts";
import { readExactJson } from "./exact-json.ts";

/** A record with all that proves it, in one JSON document that can be checked with no registry at hand (README.md). */
export interface ProofDocument {
  readonly did: string;
  /** DID of the home registry, which signed the checkpoint. */
  readonly registry: string;
  /** The record itself; its canonical form is what the map holds. */
  readonly record: Json;
  /** Siblings in hex from the deepest to the root; 64 zeros where nothing stands. */
  readonly mapProof: readonly string[];
  readonly commit: {
    readonly entry: Json;
    /** Where the entry stands in the log. */
    readonly index: number;
    /** Inclusion in the checkpoint's log, hex, from the leaf to the root. */
    readonly logProof: readonly string[];
  };
  /** Signed note with the registry's signature alone: what nobody here could check has no place in a proof. */
  readonly checkpoint: string;
}

/** What was found. When `ok` is false the other fields are the document's claims, or `null` where they cannot be read. */
export interface ProofReport {
  readonly ok: boolean;
  /** What does not hold, one sentence each, starting with the field. */
  readonly problems: readonly string[];
  readonly did: string | null;
  readonly humanReadableId: string | null;
  readonly registry: string | null;
  readonly revision: number | null;
  /** Whether the commit is the last one under the checkpoint, so that the record is as of that checkpoint. */
  readonly isLastCommit: boolean;
  /** `time` is that of the commit, Unix milliseconds. */
  readonly checkpoint: { readonly origin: string; readonly size: number; readonly time: number } | null;
}

export interface ProofParts {
  /** Exact record bytes. */
  readonly record: Uint8Array;
  /** Inclusion of the record in the commit's map. */
  readonly mapProof: MapProof;
  /** Exact commit bytes. */
  readonly commit: Uint8Array;
  /** Inclusion of the commit in the checkpoint's log. */
  readonly logProof: readonly Uint8Array[];
  /** The signed note. */
  readonly note: string;
}

/** UTF-16 code units of the longest document: the largest record, the deepest proofs, and indentation. */
export const PROOF_DOCUMENT_LENGTH_MAX = 262_144;

const FIELDS = ["checkpoint", "commit", "did", "mapProof", "record", "registry"];
const COMMIT_FIELDS = ["entry", "index", "logProof"];
/** The record nests one level deeper than on its own. */
const DEPTH_MAX: number = JSON_DEPTH_MAX + 1;

/** @throws ProtocolError those of `decodeRecord`, `decodeCommit` and `openCheckpoint`; the proofs are not checked here */
export function buildProofDocument(parts: ProofParts): ProofDocument {
  const { did, registry } = decodeRecord(parts.record);
  const { seq } = decodeCommit(parts.commit);
  const json = (bytes: Uint8Array): Json => JSON.parse(Buffer.from(bytes).toString("utf8")) as Json;
  return {
    did,
    registry,
    record: json(parts.record),
    mapProof: parts.mapProof.siblings.map(hex),
    commit: { entry: json(parts.commit), index: seq, logProof: parts.logProof.map(hex) },
    checkpoint: openCheckpoint(parts.note).registryNote,
  };
}

/** Checks a document offline, every field and every character of it. Never throws. */
export function verifyProofDocument(text: string): ProofReport {
  const problems: string[] = [];
  const attempt = <T>(field: string, run: () => T): T | undefined => {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      problems.push(`${field}: ${error.message}`);
      return undefined;
    }
  };
  const document = attempt("document", () => readDocument(text));
  if (document === undefined) return report(problems);
  const recordBytes = attempt("record", () => encodeCanonical(document.record));
  const record = recordBytes && attempt("record", () => decodeRecord(recordBytes));
  const commitBytes = attempt("commit.entry", () => encodeCanonical(document.commit.entry));
  const commit = commitBytes && attempt("commit.entry", () => decodeCommit(commitBytes));
  const checkpoint = attempt("checkpoint", () => readCheckpoint(document.checkpoint));
  if (record && recordBytes && checkpoint) {
    attempt("did", () => agree(document.did, record.did, "the record's did"));
    attempt("registry", () => agree(document.registry, checkpoint.did, "the registry that signed the checkpoint"));
    attempt("record", () => {
      // No clock here: when a record was written is its home's word, and is shown as such.
      const context = { home: checkpoint.did, epoch: checkpoint.epoch, nowMs: hlcTime(record.hlc) };
      admit(recordBytes, keyOf(record.did), context);
    });
  }
  if (record && recordBytes && commit) {
    attempt("mapProof", () => {
      const root = fromHex(commit.roots.map, HASH_BYTES);
      verifyInclusion(root, keyOf(record.did), valueOf(recordBytes), { siblings: hashes(document.mapProof, KEY_BITS) });
    });
  }
  if (commit && commitBytes && checkpoint) {
    attempt("commit.index", () => agree(document.commit.index, commit.seq, "the seq of its entry"));
    attempt("commit.entry", () => agree(commit.epoch, checkpoint.epoch, "the epoch of the checkpoint"));
    attempt("commit.logProof", () => {
      const proof = hashes(document.commit.logProof, LOG_PROOF_HASHES_MAX);
      verifyLogInclusion(checkpoint.root, checkpoint.size, document.commit.index, commitLeafHash(commitBytes), proof);
    });
  }
  return report(problems, document, record, commit, checkpoint);
}

function report(
  problems: readonly string[],
  document?: ProofDocument,
  record?: AgentRecord,
  commit?: Commit,
  checkpoint?: Checkpoint,
): ProofReport {
  return {
    ok: problems.length === 0,
    problems,
    did: document?.did ?? null,
    humanReadableId: record?.humanReadableId ?? null,
    registry: document?.registry ?? null,
    revision: record?.revision ?? null,
    isLastCommit: commit !== undefined && commit.seq + 1 === checkpoint?.size,
    checkpoint: checkpoint && commit ? { origin: checkpoint.origin, size: checkpoint.size, time: commit.time } : null,
  };
}

function readDocument(text: string): ProofDocument {
  if (text.length > PROOF_DOCUMENT_LENGTH_MAX) {
    throw new ProtocolError("too_large", `${text.length} characters, at most ${PROOF_DOCUMENT_LENGTH_MAX} are taken`);
  }
  const document = withFields(readExactJson(text, DEPTH_MAX), FIELDS, "the document");
  const commit = withFields(document["commit"], COMMIT_FIELDS, "commit");
  const fits =
    typeof document["did"] === "string" &&
    typeof document["registry"] === "string" &&
    typeof document["checkpoint"] === "string" &&
    isStrings(document["mapProof"]) &&
    isStrings(commit["logProof"]) &&
    typeof commit["index"] === "number";
  if (!fits)
    throw new ProtocolError("schema", "did, registry, checkpoint are strings, index a number, the proofs arrays of strings");
  return document as unknown as ProofDocument;
}

function withFields(value: Json | undefined, names: readonly string[], what: string): { readonly [key: string]: Json } {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  const found = isObject ? Object.keys(value).sort() : [];
  if (found.join() !== names.join()) throw new ProtocolError("schema", `${what} has exactly the fields ${names.join(", ")}`);
  return value as { readonly [key: string]: Json };
}

function isStrings(value: Json | undefined): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function readCheckpoint(note: string): Checkpoint {
  const checkpoint = openCheckpoint(note);
  if (checkpoint.note !== checkpoint.registryNote) {
    throw new ProtocolError("bad_note", "a proof carries the registry's signature alone, without cosignatures");
  }
  return checkpoint;
}

function hashes(proof: readonly string[], max: number): Uint8Array[] {
  if (proof.length > max) throw new ProtocolError("limit_exceeded", `${proof.length} hashes, at most ${max} are taken`);
  return proof.map((text) => fromHex(text, HASH_BYTES));
}

function agree(given: string | number, expected: string | number, what: string): void {
  if (given !== expected) throw new ProtocolError("schema", `"${String(given).slice(0, 120)}" is not ${what}, ${expected}`);
}
