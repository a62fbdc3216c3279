import { createHash, type Hash } from "node:crypto";

/** What the trace tells apart. */
export type TraceKind = "deliver" | "drop" | "turn" | "timer" | "write" | "fault" | "commit" | "note";

/** Text is handed to the hash in pieces of about this many characters: one call for each line would cost more than the run. */
const PIECE_CHARACTERS = 16_384;

/**
 * SHA-256 over everything that happened and when. Two runs of one seed have the same hash; if they do not, something in the
 * code under test depends on more than the seed, and `onLine` shows the first line where they part.
 */
export class Trace {
  readonly #hash: Hash = createHash("sha256");
  readonly #onLine: ((line: string) => void) | undefined;
  #piece = "";

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** @param bytes content that belongs to the event, such as the frame that was delivered */
  record(atMs: number, kind: TraceKind, subject: string, detail: string, bytes?: Uint8Array): void {
    const line = `${atMs} ${kind} ${subject} ${detail} ${bytes?.length ?? ""}\n`;
    this.#onLine?.(line);
    this.#piece += line;
    if (bytes !== undefined) {
      this.#flush();
      this.#hash.update(bytes);
    } else if (this.#piece.length >= PIECE_CHARACTERS) {
      this.#flush();
    }
  }

  /** Hex, 64 digits, of all that was recorded so far. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  #flush(): void {
    this.#hash.update(this.#piece, "utf8");
    this.#piece = "";
  }
}
