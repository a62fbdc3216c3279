import { DID_DOCUMENT_PATH, pointsBack } from "../../../protocols/http/did-document.ts";
import type { AdminClient } from "../../admin/client.ts";
import type { Check, Status } from "../../api.ts";
import type { RegistryConfig } from "../../config.ts";
import { bundleAuthorities, certificateFacts, describeValidity, isValidAt, storedBundle } from "../certificates.ts";
import { plural } from "../text.ts";
import { check, failed, ok, skipped, warning, type Finding } from "./check.ts";
import { look, whyNot } from "./https.ts";

const BUNDLE_PATH = "/.well-known/spiffe/bundle.json";

/**
 * Our certificates as the node holds them, and as the world sees them.
 * @param bundleFile what was published last, for when no node runs
 */
export async function certificateChecks(client: AdminClient, status: Status | undefined, bundleFile: string): Promise<Check[]> {
  if (status === undefined) return [await check("authorities", () => checkStored(bundleFile))];
  const url = status.http?.url;
  if (url === undefined) return [await check("certificate", () => skipped("there is no HTTPS interface (--http none)"))];
  return Promise.all([
    check("certificate", async () => checkServed(await client.certificates())),
    check("bundle", async () => checkPublished(url, (await client.certificates()).bundle)),
  ]);
}

function checkStored(bundleFile: string): Finding {
  const bundle = storedBundle(bundleFile);
  if (bundle === undefined) return skipped("no trust bundle was published yet");
  return checkAuthorities(bundle);
}

function checkAuthorities(bundle: string): Finding {
  const authorities = bundleAuthorities(bundle);
  const valid = authorities.filter((authority) => isValidAt(authority, Date.now()));
  const found = `${plural(valid.length, "valid authority", "valid authorities")} of ${authorities.length} in the trust bundle`;
  return valid.length > 0
    ? ok(found)
    : warning(found, "start the registry: it makes a new authority, which its peers learn from its descriptor");
}

function checkServed({ svid, bundle }: Awaited<ReturnType<AdminClient["certificates"]>>): Finding {
  const leaf = certificateFacts(svid.certificate);
  const found = `${leaf.spiffeId ?? "no SPIFFE ID"}, ${describeValidity(leaf, Date.now())}`;
  if (!isValidAt(leaf, Date.now())) return failed(found, "see the log for why it was not renewed; check this machine's clock");
  const authorities = checkAuthorities(bundle);
  return authorities.state === "ok"
    ? ok(`${found}; ${authorities.found}`)
    : failed(authorities.found, "see the log for why none was made");
}

async function checkPublished(url: string, bundle: string): Promise<Finding> {
  const fix = "check that the name and port lead to this machine (proxies must pass TLS through)";
  try {
    const { status, body, tookMs } = await look(url + BUNDLE_PATH);
    if (status !== 200) return warning(`${url}${BUNDLE_PATH} answers ${status}`, fix);
    const fingerprints = (text: string): string =>
      bundleAuthorities(text)
        .map(({ fingerprint }) => fingerprint)
        .sort()
        .join();
    if (fingerprints(body) !== fingerprints(bundle)) return failed(`${url} publishes other authorities than ours`, fix);
    return ok(`${url} publishes ours, in ${tookMs.toFixed(0)} ms`);
  } catch (error) {
    return warning(`${url}${BUNDLE_PATH} is not reached from here (${whyNot(error)})`, fix);
  }
}

/** Whether the DID document of the claimed alias points back to `did`. */
export async function aliasChecks({ domain }: RegistryConfig, did: string | undefined): Promise<Check[]> {
  if (domain === null) return [];
  return [await check(`alias ${domain}`, () => checkAlias(domain, did))];
}

async function checkAlias(domain: string, did: string | undefined): Promise<Finding> {
  if (did === undefined) return skipped("there is no key yet, so that nothing can point to it");
  const url = `https://${domain}${DID_DOCUMENT_PATH}`;
  const fix = `let ${domain} lead to the HTTPS interface of this registry, or serve its DID document there`;
  try {
    const { status, body } = await look(url);
    if (status !== 200) return warning(`${url} answers ${status}`, fix);
    if (!isPointingBack(body, did, domain)) return warning(`${url} does not point to ${did}`, fix);
    return ok(`${url} points back`);
  } catch (error) {
    return warning(`${url} is not reached from here (${whyNot(error)})`, fix);
  }
}

/** @param text a DID document, as somebody served it */
export function isPointingBack(text: string, did: string, domain: string): boolean {
  try {
    return pointsBack(JSON.parse(text), did, domain);
  } catch {
    return false;
  }
}
