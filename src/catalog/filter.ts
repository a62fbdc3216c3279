import type { AgentRecord } from "../../protocols/record/record.ts";

/** Which agents a listing shows: every condition that is given must hold. */
export interface AgentFilter {
  /** A path of the taxonomy: `translation` is also every `translation/…`. */
  readonly capability?: string;
  /** From `wordsOf`: each stands somewhere in the name, the description, the humanReadableId or a tag. */
  readonly words: readonly string[];
  /** Of the claimed score, 0 to 1; an agent without one counts as 0. */
  readonly minReputation?: number;
}

/** The words of a query as they are compared: NFKC (UAX #15), lower case, separated by white space, none twice. */
export function wordsOf(text: string): string[] {
  return [...new Set(folded(text).split(/\s+/).filter(Boolean))];
}

export function matches(record: AgentRecord, { capability, words, minReputation }: AgentFilter): boolean {
  if (minReputation !== undefined && (record.reputation_score ?? 0) < minReputation) return false;
  if (capability !== undefined && !record.capabilities.some((path) => isWithin(path, capability))) return false;
  if (words.length === 0) return true;
  // A word holds no white space, so none is found across two of the fields.
  const text = folded([record.name, record.humanReadableId, ...record.tags, record.description].join("\n"));
  return words.every((word) => text.includes(word));
}

function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || (path.startsWith(ancestor) && path[ancestor.length] === "/");
}

function folded(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}
