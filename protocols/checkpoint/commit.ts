import { z } from "zod";
import { decodeCanonical, encodeCanonical } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { EPOCH_MAX } from "../record/record.ts";
import { LOG_SIZE_MAX } from "./log-proof.ts";

/**
 * One version of a catalogue: what a leaf of the log hashes. Roots are hex, named by kind: `map` always, others may join
 * without a new format, and a reader keeps the kinds that it does not know.
 */
export interface Commit {
  /** Agents in the map. */
  readonly agents: number;
  /** Keys that differ from the commit before. */
  readonly changes: number;
  readonly epoch: number;
  /** The roots of the commit before; of an epoch's first commit: the last ones of the epoch before, or EMPTY. */
  readonly prev: Roots;
  readonly roots: Roots;
  /** Index of this commit in the log, from 0. */
  readonly seq: number;
  /** Unix milliseconds by the registry's clock. */
  readonly time: number;
}

export type Roots = { readonly map: string } & { readonly [kind: string]: string };

export const COMMIT_BYTES_MAX = 2_048;
/** Kinds of roots in one commit. */
export const ROOT_KINDS_MAX = 8;
export const AGENTS_MAX: number = 2 ** 48 - 1;
/** The last moment that a JavaScript date can name, Unix milliseconds. */
export const TIME_MS_MAX = 8_640_000_000_000_000;

const KIND = /^[a-z][a-z0-9-]{0,31}$/;
const roots = z
  .record(z.string().regex(KIND), z.string().regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits"))
  .refine((named) => Object.hasOwn(named, "map"), "the map root is missing")
  .refine((named) => Object.keys(named).length <= ROOT_KINDS_MAX, `at most ${ROOT_KINDS_MAX} kinds`);

const schema = z.strictObject({
  agents: z.int().min(0).max(AGENTS_MAX),
  changes: z.int().min(0).max(AGENTS_MAX),
  epoch: z.int().min(0).max(EPOCH_MAX),
  prev: roots,
  roots,
  seq: z
    .int()
    .min(0)
    .max(LOG_SIZE_MAX - 1),
  time: z.int().min(0).max(TIME_MS_MAX),
});

/** @throws ProtocolError `schema` */
export function encodeCommit(commit: Commit): Uint8Array {
  return encodeCanonical({ ...checkCommit(commit) });
}

/** @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `not_canonical`, `schema` */
export function decodeCommit(bytes: Uint8Array): Commit {
  return checkCommit(decodeCanonical(bytes, COMMIT_BYTES_MAX));
}

/** @throws ProtocolError `schema`, naming every field that does not fit */
function checkCommit(value: unknown): Commit {
  const result = schema.safeParse(value);
  if (result.success) return result.data as Commit;
  const issues = result.error.issues.map((issue) => `commit.${issue.path.join(".")}: ${issue.message}`);
  throw new ProtocolError("schema", issues.join("; "), { fields: issues.length });
}
