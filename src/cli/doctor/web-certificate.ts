import { once } from "node:events";
import { connect } from "node:tls";
import type { Check } from "../../api.ts";
import type { RegistryConfig } from "../../config.ts";
import { duration } from "../text.ts";
import { check, failed, ok, warning, type Finding } from "./check.ts";
import { whyNot } from "./https.ts";
import type { Running } from "./listening.ts";

/** Certificates that end within this time, or within this part of their life where that is less, should have been renewed. */
export const END_AHEAD_MS = 1_209_600_000;
export const END_AHEAD_PART = 0.25;
const CONNECT_TIMEOUT_MS = 5_000;

/** The pair in its files, as a start would take it. */
export interface InspectedPair {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly fingerprint256: string;
  /** What is wrong with it, and does not keep it from being served. */
  readonly exposure: { readonly found: string; readonly fix: string } | undefined;
}

/** What a start would refuse of it. */
export interface RefusedPair {
  readonly found: string;
  readonly fix: string;
}

export interface InspectPair {
  (paths: { readonly certificate: string; readonly key: string }, domain: string): Promise<InspectedPair | RefusedPair>;
}

/** The certificate of the public web: what is in its files, and what a running registry serves of it. */
export async function webCertificateChecks(
  { tlsCertificate, tlsKey, domain }: RegistryConfig,
  inspect: InspectPair,
  running: Running | undefined,
): Promise<Check[]> {
  if (tlsCertificate === null || tlsKey === null || domain === null) return [];
  let stored: InspectedPair | undefined;
  const files = await check("web-certificate", async () => {
    const pair = await inspect({ certificate: tlsCertificate, key: tlsKey }, domain);
    if ("fix" in pair) return failed(pair.found, pair.fix);
    stored = pair;
    return checkStored(pair, tlsCertificate, domain, Date.now());
  });
  const url = running?.status.http?.url;
  if (url === undefined) return [files];
  return [files, await check("web-certificate-served", () => checkServed(url, domain, stored))];
}

export function checkStored(pair: InspectedPair, path: string, domain: string, nowMs: number): Finding {
  const { notBeforeMs, notAfterMs, exposure } = pair;
  const found = `${path} is for ${domain}, valid for ${duration((notAfterMs - nowMs) / 1_000)}`;
  if (notAfterMs - nowMs < Math.min(END_AHEAD_MS, END_AHEAD_PART * (notAfterMs - notBeforeMs)))
    return warning(found, "renew it: a running registry takes the new files within a minute");
  return exposure === undefined ? ok(found) : warning(exposure.found, exposure.fix);
}

async function checkServed(url: string, domain: string, stored: InspectedPair | undefined): Promise<Finding> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  // Looked at, not trusted: whether browsers take it is said by its files.
  const socket = connect({ host, port: Number(port || "443"), servername: domain, rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    const served = socket.getPeerX509Certificate();
    if (served === undefined) return failed(`${url} shows no certificate for ${domain}`, "restart the registry");
    const left = served.validToDate.getTime() - Date.now();
    if (left <= 0) return failed(`${url} serves one that has expired`, "renew it; the registry's log says why it was not taken");
    if (stored === undefined)
      return warning(
        `${url} goes on with what it read before, for ${duration(left / 1_000)}`,
        "put the files right: they are taken within a minute",
      );
    if (served.fingerprint256 !== stored.fingerprint256)
      return warning(
        `${url} does not serve the one in the files`,
        "wait a minute; then see the registry's log, or start it with these files",
      );
    return ok(`${url} serves it for ${domain}`);
  } catch (error) {
    return failed(`${url} is not reached (${whyNot(error)})`, "see whether the registry is well: `registry status`, its log");
  } finally {
    socket.destroy();
  }
}
