import { once } from "node:events";
import { connect } from "node:net";
import { openDescriptor } from "../../../protocols/descriptor/codec.ts";
import { decodeIntroduction, INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import type { Check } from "../../api.ts";
import { isUrl } from "../../config.ts";
import { listenAddress } from "../ports.ts";
import { check, ok, skipped, warning, type Finding } from "./check.ts";
import { look, whyNot } from "./https.ts";

/** Signed requests are refused beyond 30 s (protocols/http): half of it leaves room for drift. */
export const SKEW_MS_MAX = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;

interface PeerLook {
  readonly finding: Finding;
  readonly aheadMs?: number | undefined;
}

/** The peers that the settings name, and how far their clocks are from ours: what can be seen without a running node. */
export async function peerChecks(peers: readonly string[]): Promise<Check[]> {
  const offsets: { readonly peer: string; readonly aheadMs: number }[] = [];
  const checks = await Promise.all(
    peers.map((peer) =>
      check(`address ${peer}`, async () => {
        const { finding, aheadMs } = await (isUrl(peer) ? lookAtUrl(peer) : lookAtAddress(peer));
        if (aheadMs !== undefined) offsets.push({ peer, aheadMs });
        return finding;
      }),
    ),
  );
  return [...checks, await check("clock-https", () => compareClocks(offsets))];
}

async function lookAtUrl(peer: string): Promise<PeerLook> {
  const url = new URL(peer);
  const pin = url.hash.slice(1);
  url.hash = "";
  const path = `${url.href.replace(/\/$/, "")}${INTRODUCTION_PATH}`;
  try {
    const { status, body, tookMs, aheadMs } = await look(path);
    const found = `answers ${status} over HTTPS in ${tookMs.toFixed(0)} ms`;
    if (status === 200) return { finding: checkIntroduction(body, pin, found), aheadMs };
    return { finding: warning(found, `it is no registry, or not ready: open ${path} to see what it says`), aheadMs };
  } catch (error) {
    const fix = "check its name and port, that it runs, and that no firewall stands between";
    return { finding: warning(`is not reached over HTTPS (${whyNot(error)})`, fix) };
  }
}

/** Who it says that it is, signed; that it also holds the key of its certificate is proved by the running node alone. */
function checkIntroduction(body: string, pin: string, found: string): Finding {
  try {
    const { did, name } = openDescriptor(decodeIntroduction(Buffer.from(body)).descriptor, Date.now());
    if (pin === "" || pin === did) return ok(`${found} as ${name}, ${did}`);
    return warning(`${found} as ${name}, ${did}, but its pin is ${pin}`, "correct the pin, or find out who answers there");
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const isOfTime = error.code === "expired" || error.code === "not_yet_valid";
    if (isOfTime) return warning(`${found}: ${error.message}`, "synchronise the clocks with NTP, here and there");
    return warning(`${found}, and not as a registry does: ${error.message}`, "check host, port and path");
  }
}

/** Whether somebody listens there; who it is, only the handshake of a running node proves. */
async function lookAtAddress(peer: string): Promise<PeerLook> {
  const { host, port } = listenAddress(peer);
  const socket = connect({ host, port });
  const startedMs = performance.now();
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    return { finding: ok(`takes TCP connections, after ${(performance.now() - startedMs).toFixed(0)} ms`) };
  } catch (error) {
    const fix = "check its address and port, that it runs, and that no firewall stands between";
    return { finding: warning(`is not reached over TCP (${whyNot(error)})`, fix) };
  } finally {
    socket.destroy();
  }
}

export function compareClocks(offsets: readonly { readonly peer: string; readonly aheadMs: number }[]): Finding {
  const apart = offsets.filter(({ aheadMs }) => Math.abs(aheadMs) > SKEW_MS_MAX);
  if (offsets.length === 0) return skipped("no peer was reached over HTTPS whose clock could be compared");
  if (apart.length === 0) return ok(`within ${SKEW_MS_MAX / 1_000} s of ${offsets.length} peers`);
  const lines = apart.map(
    ({ peer, aheadMs }) => `${peer} is ${Math.abs(aheadMs / 1_000).toFixed(0)} s ${aheadMs > 0 ? "ahead" : "behind"}`,
  );
  const isOurs = apart.length * 2 > offsets.length && offsets.length > 1;
  const fix = isOurs
    ? "most differ, so it is likely our clock: synchronise it with NTP"
    : "synchronise the clocks with NTP, here and there";
  return warning(lines.join("; "), fix);
}
