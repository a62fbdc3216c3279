import type { Readable } from "node:stream";
import { fromUtf8 } from "../../protocols/lib/bytes.ts";
import { parseStrictJson } from "../../protocols/lib/strict-json.ts";
import type { Clock } from "../ports/clock.ts";
import type { BodyRoom } from "./held-bodies.ts";
import { BODY_DEPTH_MAX, BODY_MS_MAX } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import { busyProblem } from "./refusals.ts";

export interface BodyReading {
  /** Value of `Content-Length`. */
  readonly declared: string | undefined;
  /** 0 where none is taken. */
  readonly bytesMax: number;
  readonly room: BodyRoom;
  readonly clock: Clock;
}

/**
 * The bytes of a body as they came, at most `bytesMax`, complete within BODY_MS_MAX.
 * @throws ProblemError `too_large`, `busy`, `body_too_slow`, `body_cut`; the rest of the body is then not read
 */
export function readBody(stream: Readable, { declared, bytesMax, room, clock }: BodyReading): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const bytes = new GrowingBytes(bytesMax);
    const fail = (problem: ProblemError): void => {
      settle();
      stream.pause();
      reject(problem);
    };
    const onData = (chunk: Buffer): void => {
      if (bytes.length + chunk.length > bytesMax) return fail(tooLarge(bytesMax));
      if (!room.take(chunk.length)) return fail(noRoom());
      bytes.add(chunk);
    };
    const onEnd = (): void => {
      settle();
      resolve(bytes.all());
    };
    const onCut = (): void => fail(new ProblemError(400, "body_cut", "the request ended before its body was complete"));
    const cancel = clock.after(BODY_MS_MAX, () => fail(tooSlow()));
    const settle = (): void => {
      cancel();
      stream.off("data", onData).off("end", onEnd).off("error", onCut).off("aborted", onCut).off("close", onCut);
      // What breaks after we stopped listening is no news to anybody.
      stream.on("error", () => undefined);
    };
    if (Number(declared ?? 0) > bytesMax) return fail(tooLarge(bytesMax));
    if (!room.take(0)) return fail(noRoom());
    stream.on("data", onData).on("end", onEnd).on("error", onCut).on("aborted", onCut).on("close", onCut);
  });
}

/** Copies what comes: a chunk of one byte would keep all that was received with it. */
class GrowingBytes {
  readonly #lengthMax: number;
  #bytes: Buffer = Buffer.alloc(0);
  length: number = 0;

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  add(chunk: Buffer): void {
    const length = this.length + chunk.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * this.#bytes.length, this.#lengthMax)));
      this.#bytes.copy(larger, 0, 0, this.length);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.length);
    this.length = length;
  }

  all(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }
}

/** The body as a JSON value. @throws ProblemError `wrong_media_type`; ProtocolError of `parseStrictJson` and `fromUtf8` */
export function jsonBody(bytes: Uint8Array, contentType: string | undefined): unknown {
  if (!JSON_TYPE.test(contentType ?? "")) {
    const detail = "the body must be JSON: send it with Content-Type: application/json";
    throw new ProblemError(415, "wrong_media_type", detail, { headers: { accept: "application/json" } });
  }
  if (bytes.length === 0) throw new ProblemError(400, "not_json", "the body is empty; send a JSON document");
  return parseStrictJson(fromUtf8(bytes), BODY_DEPTH_MAX);
}

/** Also of types built on JSON; its text is UTF-8 (RFC 8259 §8.1), so no other charset is taken. */
const JSON_TYPE = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

function tooLarge(bytesMax: number): ProblemError {
  const detail = bytesMax === 0 ? "no body is taken here; send none" : `the body has more than ${bytesMax} bytes; send less`;
  return new ProblemError(413, "too_large", detail, { extra: { bytesMax } });
}

function noRoom(): ProblemError {
  return busyProblem("too many bodies are under way, from your address or in all; send them one after the other");
}

function tooSlow(): ProblemError {
  return new ProblemError(408, "body_too_slow", `the body was not complete after ${BODY_MS_MAX / 1_000} s; send it faster`);
}
