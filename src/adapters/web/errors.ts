import { NetworkError } from "../../ports/network.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { WebError } from "../../ports/web.ts";

/** What the port's methods reject with, made of whatever happened below. */
export function asWebError(error: unknown, host: string): WebError | ProtocolError {
  if (error instanceof WebError || error instanceof ProtocolError) return error;
  if (error instanceof NetworkError && error.code === "timeout") return new WebError("timeout", `${host}: ${error.message}`);
  const message = error instanceof Error ? error.message : String(error);
  return new WebError("unreachable", `${host} could not be reached: ${message}`, { cause: error });
}

const LOSSES = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_INFO", "UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);

/** Whether the connection went away under the request, as happens when the other side restarts or renews its certificate. */
export function isConnectionLoss(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && (LOSSES.has(code) || code.startsWith("ERR_HTTP2_"));
}

/** Rejects when the signal fires, also where what is waited for does not heed it. */
export async function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Whichever of them lost must not count as unhandled.
    promise.catch(() => undefined);
    work.catch(() => undefined);
  }
}
