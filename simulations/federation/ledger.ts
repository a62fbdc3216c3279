import { canonicalText, type Json } from "../../protocols/lib/canonical.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { AgentInput, Mutation, MutationResult } from "../../src/api.ts";

/** What an agent's owner wrote; the home adds the rest. */
const OWNER_FIELDS = [
  "humanReadableId",
  "name",
  "description",
  "capabilities",
  "tags",
  "endpoints",
  "version",
  "status",
  "reputation_score",
] as const;

/** One state that an agent may be in: the text of its owner's fields, or `undefined` for "there is no such agent". */
type Content = string | undefined;

interface Entry {
  /** The newest state that was acknowledged. */
  acknowledged: Content;
  /** Later states whose fate nobody told us: any of them may hold. */
  uncertain: Content[];
}

/** What stood in the books at some time. */
export type LedgerCopy = ReadonlyMap<string, Readonly<Entry>>;

/** The ground truth of one home: all that its owner ever asked it to write, and what it acknowledged. Agents by `humanReadableId`. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #everWritten = new Set<string>();
  #acknowledgements = 0;

  get acknowledgements(): number {
    return this.#acknowledgements;
  }

  /** Agents that may exist. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** To be called before the home is asked. */
  attempt(mutation: SimulatedMutation): void {
    const content = contentOf(mutation);
    if (content !== undefined) this.#everWritten.add(content);
    this.#entry(mutation.name).uncertain.push(content);
  }

  /** The home's answer to the oldest attempt on this agent that is still open for it. */
  settle(mutation: SimulatedMutation, result: MutationResult): void {
    const entry = this.#entry(mutation.name);
    const content = contentOf(mutation);
    const at = entry.uncertain.lastIndexOf(content);
    if (result.outcome === "refused") {
      entry.uncertain.splice(at, 1);
      return;
    }
    this.#acknowledgements++;
    entry.acknowledged = content;
    entry.uncertain.splice(0, at + 1);
  }

  /** Whether the owner ever wrote this: what no owner wrote is forged. */
  wrote(record: AgentRecord): boolean {
    return this.#everWritten.has(contentOfRecord(record));
  }

  copy(): LedgerCopy {
    return new Map(
      [...this.#entries].map(([name, { acknowledged, uncertain }]) => [name, { acknowledged, uncertain: [...uncertain] }]),
    );
  }

  /** The home went back to what it was when the copy was made: what it wrote later, it has lost. */
  rewind(copy: LedgerCopy = new Map()): void {
    for (const [name, entry] of this.#entries) {
      const before = copy.get(name);
      Object.assign(entry, { acknowledged: before?.acknowledged, uncertain: [...(before?.uncertain ?? [])] });
    }
  }

  /** Why the home's catalogue breaks a promise, one line for each agent; empty when it keeps them all. */
  broken(catalogue: readonly AgentRecord[]): string[] {
    const held = new Map(catalogue.map((record) => [record.humanReadableId, contentOfRecord(record)]));
    const complaints: string[] = [];
    for (const [name, entry] of this.#entries) {
      const content = held.get(name);
      if (content === entry.acknowledged || entry.uncertain.includes(content)) continue;
      complaints.push(`${name}: ${spell(entry.acknowledged)} was acknowledged, the catalogue holds ${spell(content)}`);
    }
    return complaints;
  }

  #entry(name: string): Entry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { acknowledged: undefined, uncertain: [] };
      this.#entries.set(name, entry);
    }
    return entry;
  }
}

export interface SimulatedMutation {
  readonly name: string;
  readonly mutation: Mutation;
}

function contentOf({ mutation }: SimulatedMutation): Content {
  return mutation.op === "put" ? textOf(mutation.agent) : undefined;
}

export function contentOfRecord(record: AgentRecord): string {
  return textOf(record);
}

function textOf(source: AgentInput | AgentRecord): string {
  const owned: Record<string, Json> = {};
  for (const field of OWNER_FIELDS) {
    const value = source[field];
    if (value !== undefined) owned[field] = value as Json;
  }
  return canonicalText(owned);
}

function spell(content: Content): string {
  return content === undefined ? "its absence" : content.slice(0, 160);
}
