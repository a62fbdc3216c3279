import { Agent, request } from "undici";

export interface HttpsAnswer {
  readonly status: number;
  readonly body: string;
  /** Round trip on a connection that stands, in milliseconds. */
  readonly tookMs: number;
  /** Their clock minus ours, as far as their Date tells (whole seconds); `undefined` without one. */
  readonly aheadMs: number | undefined;
}

const TIMEOUT_MS = 5_000;
const BODY_BYTES_MAX = 262_144;

/**
 * A GET to look at, not to trust: the certificate is not checked, since a registry's own authority is not of the public web.
 * Nothing secret is sent, redirects are not followed. @throws Error of the connection, also for a body that is too long
 */
export async function look(url: string): Promise<HttpsAnswer> {
  const agent = new Agent({ connect: { rejectUnauthorized: false, timeout: TIMEOUT_MS }, maxResponseSize: BODY_BYTES_MAX });
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const startedMs = performance.now();
    const { statusCode, headers, body } = await request(url, { dispatcher: agent, signal });
    const tookMs = performance.now() - startedMs;
    const dateMs = Date.parse([headers["date"]].flat()[0] ?? "");
    // The header was written about half a round trip ago, and cuts fractions of a second off.
    const aheadMs = Number.isNaN(dateMs) ? undefined : dateMs + DATE_CUT_MS - (Date.now() - tookMs / 2);
    return { status: statusCode, body: await body.text(), tookMs, aheadMs };
  } finally {
    await agent.destroy();
  }
}

const DATE_CUT_MS = 500;

/** What kept an answer from coming, in a few words. */
export function whyNot(error: unknown): string {
  const { code, message, cause } = error as { code?: string; message?: string; cause?: { code?: string } };
  return cause?.code ?? code ?? message ?? String(error);
}
