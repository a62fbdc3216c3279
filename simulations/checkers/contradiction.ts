import type { WireEvent } from "../../src/adapters/memory/link.ts";
import type { Machine } from "../federation/machine.ts";

/**
 * A checkpoint wherever it stands in a frame or message, also inside JSON, where its newlines are escaped: origin, log size and
 * root of a C2SP tlog-checkpoint.
 */
const CHECKPOINT =
  /(did:key:[1-9A-HJ-NP-Za-km-z]+)\/catalog\/(\d{1,10})(?:\n|\\n)(\d{1,16})(?:\n|\\n)([A-Za-z0-9+/]{43}=)(?:\n|\\n)/g;
const MARK = Buffer.from("/catalog/");

/**
 * Reads along every byte that reaches another machine: a registry may never sign two roots for one size of its log, whatever
 * crashed or was restored in between (T26, T53). Only what a registry sends itself is counted: others might have made it up. What
 * was lost on the way to everybody is nowhere, so neither its author, restored, nor anybody else can know of it.
 */
export class ContradictionChecker {
  readonly #didOf: (peerId: string) => string | undefined;
  readonly #roots = new Map<string, string>();
  readonly #complaints = new Set<string>();

  constructor(didOf: (peerId: string) => string | undefined) {
    this.#didOf = didOf;
  }

  get complaints(): readonly string[] {
    return [...this.#complaints];
  }

  /** Different checkpoints seen so far. */
  get checkpoints(): number {
    return this.#roots.size;
  }

  observe(event: WireEvent): void {
    if (event.stage !== "delivered" || event.bytes === undefined) return;
    const bytes = Buffer.from(event.bytes.buffer, event.bytes.byteOffset, event.bytes.byteLength);
    if (!bytes.includes(MARK)) return;
    const did = this.#didOf(event.from);
    for (const [, author, epoch, size, root] of bytes.toString("latin1").matchAll(CHECKPOINT)) {
      if (author !== did || root === undefined) continue;
      const version = `${author}/catalog/${epoch} at size ${size}`;
      const before = this.#roots.get(version);
      // A match shares the memory of the whole frame that it was found in.
      if (before === undefined) this.#roots.set(version, Buffer.from(root).toString());
      else if (before !== root) this.#complaints.add(`${version}: signed ${before}, then ${root}`);
    }
  }
}

/** Evidence of misbehaviour that a node holds although every registry of the federation is honest, a line each. */
export async function accusationsBy(machine: Machine): Promise<string[]> {
  const evidence = (await machine.ask((node) => node.status()))?.evidence ?? 0;
  return evidence === 0 ? [] : [`${machine.name} holds ${evidence} pieces of evidence against honest registries`];
}
