import { base64, concat, equal, fromBase64, utf8 } from "../lib/bytes.ts";
import { canonicalText, decodeCanonical } from "../lib/canonical.ts";
import { publicKeyOfDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES, sha256 } from "../lib/hash.ts";
import { SIGNATURE_BYTES, verifySignature } from "../lib/keys.ts";
import { EPOCH_MAX } from "../record/record.ts";
import { LOG_SIZE_MAX } from "./log-proof.ts";

/** A checkpoint: the head of a log as a C2SP signed note (c2sp.org/signed-note) in the form of c2sp.org/tlog-checkpoint. */
export interface Checkpoint {
  /** `<registry DID>/catalog/<epoch>`; also the name of the signing key. */
  readonly origin: string;
  readonly did: string;
  readonly epoch: number;
  /** Commits in the log. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** The signed text: three lines, each with its newline. */
  readonly text: string;
  /** The note as it came, with every cosignature. */
  readonly note: string;
  /** The same note with the registry's own signature alone. */
  readonly registryNote: string;
}

export const CHECKPOINT_BYTES_MAX = 4_096;
/** Signature lines in a note: the registry's and its witnesses'. */
const NOTE_SIGNATURES_MAX = 16;
/** Key id and signature of one line, in bytes. */
const NOTE_SIGNATURE_BYTES_MAX = 256;

const KEY_ID_BYTES = 4;
const ED25519_TYPE = 0x01;
const ORIGIN = /^(did:key:[1-9A-HJ-NP-Za-km-z]+)\/catalog\/(0|[1-9][0-9]{0,9})$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
// A key name has neither white space nor "+" (signed-note); control characters are not allowed anywhere in a note.
const SIGNATURE_LINE = /^— ([^\s+\p{Cc}]+) ([A-Za-z0-9+/]+={0,2})$/u;

export function checkpointOrigin(did: string, epoch: number): string {
  return `${did}/catalog/${epoch}`;
}

/** @throws ProtocolError `wrong_origin` unless it is an Ed25519 did:key and an epoch */
function parseOrigin(origin: string): { readonly did: string; readonly epoch: number; readonly key: Uint8Array } {
  const [, did, epoch] = ORIGIN.exec(origin) ?? [];
  if (did === undefined || Number(epoch) > EPOCH_MAX) {
    throw new ProtocolError("wrong_origin", `"${origin.slice(0, 120)}" is not <registry did:key>/catalog/<epoch>`);
  }
  return { did, epoch: Number(epoch), key: publicKeyOfDid(did) };
}

/**
 * @param sign Ed25519 by the registry's key over the given bytes, 64 bytes
 * @throws ProtocolError `wrong_origin`, `bad_did`, `schema`
 */
export function encodeCheckpoint(
  head: { readonly origin: string; readonly size: number; readonly root: Uint8Array },
  sign: (bytes: Uint8Array) => Uint8Array,
): string {
  const { key } = parseOrigin(head.origin);
  if (!Number.isSafeInteger(head.size) || head.size < 0 || head.size > LOG_SIZE_MAX || head.root.length !== HASH_BYTES) {
    throw new ProtocolError("schema", `a checkpoint has a size of 0 to ${LOG_SIZE_MAX} and a root of ${HASH_BYTES} bytes`);
  }
  const text = `${head.origin}\n${head.size}\n${base64(head.root)}\n`;
  return `${text}\n${signatureLine(head.origin, concat(keyId(head.origin, key), sign(utf8(text))))}`;
}

/**
 * Reads a checkpoint and checks the signature of the registry that its origin names. Cosignatures are kept, not checked.
 * @throws ProtocolError `too_large`, `not_utf8`, `bad_note`, `wrong_origin`, `bad_did`, `bad_base64`, `bad_signature`
 */
export function openCheckpoint(note: string): Checkpoint {
  if (note.length > CHECKPOINT_BYTES_MAX || utf8(note).length > CHECKPOINT_BYTES_MAX) {
    throw new ProtocolError("too_large", `the checkpoint is longer than ${CHECKPOINT_BYTES_MAX} bytes`);
  }
  if (!note.isWellFormed()) throw new ProtocolError("not_utf8", "the checkpoint holds a lone surrogate");
  const [origin, size, root, blank, ...rest] = note.split("\n");
  if (origin === undefined || size === undefined || root === undefined || blank !== "" || rest.pop() !== "") {
    throw bad("expected origin, size, root, an empty line and signature lines, each ended by LF");
  }
  const { did, epoch, key } = parseOrigin(origin);
  if (!DECIMAL.test(size) || Number(size) > LOG_SIZE_MAX) throw bad(`"${size.slice(0, 40)}" is not a log size`);
  const rootBytes = fromBase64(root);
  if (rootBytes.length !== HASH_BYTES) throw bad(`the log root has ${rootBytes.length} bytes, not ${HASH_BYTES}`);
  const text = `${origin}\n${size}\n${root}\n`;
  const signature = findSignature(origin, key, rest);
  if (!verifySignature(key, utf8(text), signature.subarray(KEY_ID_BYTES))) {
    throw new ProtocolError("bad_signature", `the checkpoint's signature does not verify under the key of ${did}`);
  }
  const registryNote = `${text}\n${signatureLine(origin, signature)}`;
  return { origin, did, epoch, size: Number(size), root: rootBytes, text, note, registryNote };
}

/** A registry that signed two histories: one origin and size, two roots. Evidence for ever, wherever it is shown. */
export interface Equivocation {
  readonly did: string;
  readonly origin: string;
  readonly size: number;
  readonly checkpoints: readonly [Checkpoint, Checkpoint];
}

/** Two notes of one signature each and their frame, in bytes. */
export const EQUIVOCATION_BYTES_MAX = 1_024;

const EVIDENCE_KIND = "equivocation";

/** The evidence, canonical JSON and the same bytes whoever finds it, or `undefined` where the two can both be true. */
export function contradicts(a: Checkpoint, b: Checkpoint): Uint8Array | undefined {
  if (a.origin !== b.origin || a.size !== b.size || equal(a.root, b.root)) return undefined;
  return utf8(canonicalText({ kind: EVIDENCE_KIND, notes: [a.registryNote, b.registryNote].sort() }));
}

/** @throws ProtocolError `bad_proof` unless both notes verify and contradict each other in the one form; the codec's errors */
export function verifyEquivocation(evidence: Uint8Array): Equivocation {
  const value = decodeCanonical(evidence, EQUIVOCATION_BYTES_MAX);
  const notes = typeof value === "object" && value !== null && "notes" in value ? value.notes : undefined;
  const [first, second] = Array.isArray(notes) ? notes : [];
  if (typeof first !== "string" || typeof second !== "string") {
    throw new ProtocolError("schema", "evidence of equivocation is {kind, notes: [note, note]}");
  }
  const checkpoints = [openCheckpoint(first), openCheckpoint(second)] as const;
  const again = contradicts(checkpoints[0], checkpoints[1]);
  if (again === undefined || !equal(again, evidence)) {
    throw new ProtocolError(
      "bad_proof",
      "the two checkpoints do not contradict each other, or are not in the one form of evidence",
    );
  }
  const { did, origin, size } = checkpoints[0];
  return { did, origin, size, checkpoints };
}

/** Key id ‖ signature of the one line by the registry's own key; lines by other keys only have to be well formed. */
function findSignature(origin: string, publicKey: Uint8Array, lines: readonly string[]): Uint8Array {
  if (lines.length === 0 || lines.length > NOTE_SIGNATURES_MAX) {
    throw bad(`${lines.length} signature lines, 1 to ${NOTE_SIGNATURES_MAX} are taken`);
  }
  const id = keyId(origin, publicKey);
  const own: Uint8Array[] = [];
  for (const line of lines) {
    const [, name, encoded] = SIGNATURE_LINE.exec(line) ?? [];
    if (name === undefined || encoded === undefined) throw bad(`not a signature line: "${line.slice(0, 80)}"`);
    const value = fromBase64(encoded);
    if (value.length <= KEY_ID_BYTES || value.length > NOTE_SIGNATURE_BYTES_MAX) {
      throw bad(`a signature of ${value.length} bytes, ${KEY_ID_BYTES + 1} to ${NOTE_SIGNATURE_BYTES_MAX} are taken`);
    }
    if (name === origin && equal(value.subarray(0, KEY_ID_BYTES), id)) own.push(value);
  }
  const [only] = own;
  if (only === undefined || own.length > 1 || only.length !== KEY_ID_BYTES + SIGNATURE_BYTES) {
    throw new ProtocolError("bad_signature", "the note does not carry exactly one signature by the registry of its origin");
  }
  return only;
}

/** The first 4 bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key) (signed-note, Ed25519). */
function keyId(name: string, publicKey: Uint8Array): Uint8Array {
  return sha256(concat(utf8(`${name}\n`), Uint8Array.of(ED25519_TYPE), publicKey)).subarray(0, KEY_ID_BYTES);
}

function signatureLine(name: string, value: Uint8Array): string {
  return `— ${name} ${base64(value)}\n`;
}

function bad(message: string): ProtocolError {
  return new ProtocolError("bad_note", message);
}
