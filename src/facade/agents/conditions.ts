import type { IncomingHttpHeaders } from "node:http";
import type { Mutation } from "../../api.ts";
import { ProblemError } from "../problem.ts";

/** What a condition is compared with: the record that this registry publishes now. */
export interface Current {
  /** Value hash, hex. */
  readonly hash: string;
  readonly revision: number;
}

/** The strong entity tag (RFC 9110 §8.8.3) of a record, everywhere: its value hash, so that a tag can be computed from the bytes. */
export function entityTag(hash: string): string {
  return `"${hash}"`;
}

/** Whether `If-None-Match` says that the caller has this record (RFC 9110 §13.1.2). @throws ProblemError `bad_condition` */
export function hasAlready({ "if-none-match": header }: IncomingHttpHeaders, hash: string): boolean {
  return header !== undefined && lists(header, "If-None-Match", entityTag(hash), true);
}

export function hasCondition({ "if-match": match, "if-none-match": noneMatch }: IncomingHttpHeaders): boolean {
  return match !== undefined || noneMatch !== undefined;
}

export type WriteCondition = Pick<Extract<Mutation, { op: "put" }>, "mode" | "ifRevision"> & {
  /** The caller named a condition, so that its failure is 412. */
  readonly given: boolean;
};

/**
 * `If-Match` and `If-None-Match` of a write (RFC 9110 §13.2.2) as the catalogue knows conditions, so that they hold at the moment
 * of the write.
 * @param elsewhere DID of the home whose record is shown where we have none
 * @throws ProblemError `bad_condition`, `precondition_failed`
 */
export function writeCondition(headers: IncomingHttpHeaders, current: Current | undefined, elsewhere?: string): WriteCondition {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  if (!hasCondition(headers)) return { mode: "upsert", given: false };
  const tag = current && entityTag(current.hash);
  if (match !== undefined && !lists(match, "If-Match", tag, false)) throw failed(current, reasonOf(current, elsewhere));
  if (noneMatch !== undefined && lists(noneMatch, "If-None-Match", tag, true)) throw failed(current);
  if (current === undefined) return { mode: "create", given: true };
  return { mode: "update", given: true, ...(match?.trim() !== "*" && { ifRevision: current.revision }) };
}

/** RFC 9110 §13.1: the record is not what the caller thought. */
export function failed(current: Current | undefined, reason: string = reasonOf(current)): ProblemError {
  const detail = `${reason}; read it again and apply the change to that`;
  return new ProblemError(412, "precondition_failed", detail, {
    ...(current && { headers: { etag: entityTag(current.hash) }, extra: { revision: current.revision } }),
  });
}

function reasonOf(current: Current | undefined, elsewhere?: string): string {
  if (current !== undefined) return `the agent is at revision ${current.revision} now`;
  return `there is no such agent in this registry now${elsewhere === undefined ? "" : `, its home is ${elsewhere}`}`;
}

const TAG = String.raw`(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"`;
const LIST = new RegExp(String.raw`^\s*${TAG}(?:\s*,\s*${TAG})*\s*$`);

/** Whether the list has `tag`; `*` has every one. @param weak whether weak tags count (RFC 9110 §8.8.3.2) */
function lists(header: string, name: string, tag: string | undefined, weak: boolean): boolean {
  if (header.trim() === "*") return tag !== undefined;
  if (!LIST.test(header)) {
    throw new ProblemError(
      400,
      "bad_condition",
      `${name} must be * or entity tags in quotes, such as the ETag of an earlier answer`,
    );
  }
  const tags = header.match(new RegExp(TAG, "g")) ?? [];
  return tag !== undefined && tags.some((one) => one === tag || (weak && one === `W/${tag}`));
}
