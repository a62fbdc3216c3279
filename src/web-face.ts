import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { DID_DOCUMENT_BYTES_MAX, DID_DOCUMENT_PATH } from "../protocols/http/did-document.ts";
import { certificateIssuer } from "./adapters/certificates/issuer.ts";
import { tlsFiles } from "./adapters/system/tls-files.ts";
import { loadOrCreateTokenFile, TOKEN_FILE_NAME } from "./adapters/system/token-file.ts";
import { openWebCertificate, type WebCertificateFiles } from "./adapters/system/web-certificate.ts";
import { fetchJson } from "./adapters/web/fetch-json.ts";
import type { Names } from "./adapters/names/names.ts";
import { guardOf } from "./adapters/web/guard.ts";
import { createWeb } from "./adapters/web/web.ts";
import type { RegistryConfig } from "./config.ts";
import { facadeAddresses, localUrl } from "./facade/addresses.ts";
import { openFacade, type Facade } from "./facade/server.ts";
import { openCredentials } from "./identity/credentials.ts";
import type { RegistryIdentity } from "./identity/registry-identity.ts";
import { checkSvid } from "./identity/svid.ts";
import { SvidError } from "./identity/svid-error.ts";
import type { NodeOptions } from "./node.ts";
import type { Clock } from "./ports/clock.ts";
import type { Credentials } from "./ports/credentials.ts";
import type { Log } from "./ports/log.ts";
import type { Random } from "./ports/random.ts";
import type { Web } from "./ports/web.ts";

/** The server of our web face and the client of others', with the certificates that both present. */
export interface WebFace {
  readonly credentials: Credentials;
  readonly facade: Facade;
  readonly web: Web;
  readonly operatorToken: string;
  /** What others are told of it. */
  readonly facts: NonNullable<NodeOptions["facade"]>;
  /** Origins under which it answers. */
  readonly served: () => readonly string[];
  readonly fetchDidDocument: NonNullable<NodeOptions["fetchDidDocument"]>;
  close(): Promise<void>;
}

interface System {
  readonly clock: Clock;
  readonly names: Names;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Opens the web face on `config.http`; it serves nothing before `facade.serve`.
 * @throws CredentialsError, TokenFileError, NetworkError, WebCertificateError
 */
export async function openWebFace(
  config: RegistryConfig & { readonly http: string },
  dataDirectory: string,
  identity: RegistryIdentity,
  system: System,
): Promise<WebFace> {
  const { clock, random, names } = system;
  const operatorToken = await loadOrCreateTokenFile(join(dataDirectory, TOKEN_FILE_NAME));
  const webCertificate = await webCertificateOf(config, system);
  let bound = listenAddress(config.http);
  const addresses = (): ReturnType<typeof facadeAddresses> =>
    facadeAddresses({
      ...{ ...bound, urls: config.httpUrls, domain: config.domain },
      interfaces: Object.values(networkInterfaces()).flatMap((each) => each ?? []),
    });
  const credentials = await openCredentials({
    ...{ ...system, identity, files: tlsFiles(dataDirectory), issuer: certificateIssuer(identity.trustDomain, random) },
    ...{ names: () => addresses().names, svidLifetimeMs: config.svidLifetimeSeconds * 1_000 },
  });
  try {
    const facade = await openFacade({
      ...{ ...system, listen: bound, credentials },
      ...(webCertificate && { webCertificate: { ...webCertificate.pair, domain: config.domain as string } }),
    });
    webCertificate?.watch((pair) => facade.renewWebCertificate(pair));
    credentials.onChange((what) => void (what === "svid" && webCertificate?.check()));
    bound = { host: facade.host, port: facade.port };
    const web = createWeb({
      ...{ ...system, credentials, did: identity.did, sign: (bytes) => identity.sign(bytes), verifyPeer: verifyRegistry(clock) },
      allowPrivateAddresses: config.allowPrivateAddresses,
    });
    return {
      ...{ credentials, facade, web, operatorToken },
      facts: () => ({ urls: addresses().announced, bundle: credentials.bundle(), localUrl: localUrl(bound) }),
      served: () => addresses().served,
      fetchDidDocument: (domain, { signal }) =>
        fetchJson(`https://${domain}${DID_DOCUMENT_PATH}`, {
          ...{ clock, signal, bytesMax: DID_DOCUMENT_BYTES_MAX },
          // Our own claim names a domain of the operator's; all others are of strangers.
          ...guardOf(domain === config.domain, config.allowPrivateAddresses, names),
        }),
      close: async () => {
        webCertificate?.close();
        await facade.close();
        await web.close();
        credentials.close();
      },
    };
  } catch (error) {
    webCertificate?.close();
    credentials.close();
    throw error;
  }
}

async function webCertificateOf(config: RegistryConfig, { clock, log }: System): Promise<WebCertificateFiles | undefined> {
  const { tlsCertificate, tlsKey, domain } = config;
  if (tlsCertificate === null || tlsKey === null || domain === null) return undefined;
  return openWebCertificate({ paths: { certificate: tlsCertificate, key: tlsKey }, domain, clock, log });
}

/** Only a registry's own certificate speaks for it: one that it issued to an operator or an agent does not. */
function verifyRegistry(clock: Clock): (chain: readonly Uint8Array[], bundle: string, did: string) => { notAfterMs: number } {
  return (chain, bundle, did) => {
    const { spiffeId, path, notAfterMs } = checkSvid(chain, { did, bundle }, clock.now());
    if (path.startsWith("/registry/")) return { notAfterMs };
    throw new SvidError("bad_spiffe_id", `${spiffeId} is not a registry's own certificate`);
  };
}

function listenAddress(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}
