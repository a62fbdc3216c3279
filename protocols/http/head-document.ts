import { z } from "zod";
import { COMMIT_BYTES_MAX } from "../checkpoint/commit.ts";
import type { SignedHead } from "../checkpoint/head.ts";
import { LOG_PROOF_HASHES_MAX } from "../checkpoint/log-proof.ts";
import { CHECKPOINT_BYTES_MAX } from "../checkpoint/note.ts";
import { utf8 } from "../lib/bytes.ts";
import { encodeCanonical, type Json, JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import {
  checkDocument,
  encodeDocument,
  FRAME_BYTES_MAX,
  fromHexText,
  HASH_ITEM_BYTES,
  hashText,
  hexText,
  readDocument,
  type Spliced,
} from "./json-document.ts";

/** `GET /federation/checkpoint`: the newest head of the registry that answers (rest.md). */
export const CHECKPOINT_PATH = "/federation/checkpoint";

/** Bytes of the longest head as JSON: a note's line breaks and quotes take two bytes each. */
export const HEAD_DOCUMENT_BYTES_MAX: number =
  2 * CHECKPOINT_BYTES_MAX + COMMIT_BYTES_MAX + LOG_PROOF_HASHES_MAX * HASH_ITEM_BYTES + FRAME_BYTES_MAX;

/** A document inside another one, which is read again in its canonical form. */
export function embedded(description: string): z.ZodType<unknown> {
  return z.unknown().meta({ type: "object", description });
}

/** Members of a head, wherever one stands. */
export const headMembers: {
  readonly checkpoint: z.ZodType<string>;
  readonly commit: z.ZodType<unknown>;
  readonly log_proof: z.ZodType<string[]>;
} = {
  checkpoint: z.string().max(CHECKPOINT_BYTES_MAX).meta({ description: "C2SP signed note in the form of tlog-checkpoint" }),
  commit: embedded("the commit that is the log's last leaf"),
  log_proof: z
    .array(hashText)
    .max(LOG_PROOF_HASHES_MAX)
    .meta({ description: "inclusion of the commit, from the leaf to the root" }),
};

export const headSchema: z.ZodType<HeadDocument> = z.looseObject(headMembers);

export interface HeadDocument {
  readonly checkpoint: string;
  readonly commit: unknown;
  readonly log_proof: readonly string[];
}

/** The members of a head, to be written with others or alone. */
export function headDocument(head: SignedHead): { readonly [member in keyof HeadDocument]: Spliced } {
  return { checkpoint: head.note, commit: head.commit, log_proof: head.logProof.map(hexText) };
}

/** Checks the form only; `verifyHead` does the rest. @throws ProtocolError `schema`, `too_large`, `too_deep` */
export function readHead(document: HeadDocument): SignedHead {
  if (utf8(document.checkpoint).length > CHECKPOINT_BYTES_MAX) {
    throw new ProtocolError("too_large", `checkpoint: at most ${CHECKPOINT_BYTES_MAX} bytes are taken`);
  }
  return {
    note: document.checkpoint,
    commit: canonicalBytes(document.commit, COMMIT_BYTES_MAX, "commit"),
    logProof: document.log_proof.map((text) => fromHexText(text)),
  };
}

export function encodeHeadDocument(head: SignedHead): Uint8Array {
  return encodeDocument(headDocument(head));
}

/** @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key`, `schema` */
export function decodeHeadDocument(bytes: Uint8Array): SignedHead {
  return readHead(checkDocument(headSchema, readDocument(bytes, HEAD_DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX + 1)));
}

/**
 * The exact bytes of a document that came inside another one: its canonical form (RFC 8785).
 * @throws ProtocolError `schema`, `too_large`, `too_deep`
 */
export function canonicalBytes(value: unknown, bytesMax: number, what: string): Uint8Array {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("schema", `${what}: expected an object`);
  }
  const bytes = encodeCanonical(value as Json);
  if (bytes.length <= bytesMax) return bytes;
  throw new ProtocolError("too_large", `${what}: ${bytes.length} bytes, at most ${bytesMax} are taken`, {
    bytes: bytes.length,
    bytesMax,
  });
}
