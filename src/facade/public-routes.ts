import { z } from "zod";
import { bundleSchema } from "../../protocols/bundle/bundle.ts";
import {
  didDocumentSchema,
  DID_DOCUMENT_MEDIA_TYPE,
  DID_DOCUMENT_PATH,
  encodeDidDocument,
} from "../../protocols/http/did-document.ts";
import { discoverySchema, DISCOVERY_PATH, encodeDiscovery, ENDPOINT_PATHS } from "../../protocols/http/discovery-document.ts";
import { encodeIntroduction, INTRODUCTION_PATH, introductionSchema } from "../../protocols/http/introduction-documents.ts";
import { utf8 } from "../../protocols/lib/bytes.ts";
import type { FacadeContext } from "./context.ts";
import { Kept } from "./kept.ts";
import { RETRY_AFTER_SECONDS } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import type { Answer, Route } from "./route.ts";
import { facadeKey } from "./rows.ts";

/** What lives while the process does; it says nothing of the registry. */
export const HEALTH_PATH = "/healthz";
export const HEALTHY: Answer = { status: 200, body: { status: "ok" } };

/** Public documents may be kept so long, in seconds. */
const KEPT_SECONDS = 30;
const KEPT = { "cache-control": `public, max-age=${KEPT_SECONDS}` };

/** Whether the registry is ready is found out this often at most, in milliseconds: no limit holds those back who ask. */
export const READINESS_KEPT_MS = 1_000;

const healthSchema = z.object({ status: z.literal("ok") });

/** What anybody may ask. */
export function publicRoutes(context: FacadeContext): Route[] {
  return [...documentRoutes(context), ...healthRoutes(context)];
}

function documentRoutes({ node, identity, credentials, domain, urls }: FacadeContext): Route[] {
  const { did, name, spiffeId } = identity;
  const document = (path: string, summary: string, schema: z.ZodType, body: () => Promise<Uint8Array>): Route => ({
    ...{ method: "GET", path, summary, access: "public" },
    answers: { 200: { description: summary, schema, ...(path === DID_DOCUMENT_PATH && { mediaType: DID_DOCUMENT_MEDIA_TYPE }) } },
    handle: async () => ({ status: 200, headers: KEPT, body: await body() }),
  });
  const multiaddrs = async (): Promise<readonly string[]> => (await node.status()).multiaddrs;
  return [
    document(
      INTRODUCTION_PATH,
      "Who this registry is: its signed descriptor and newest checkpoint",
      introductionSchema,
      async () => encodeIntroduction(await node.introduction()),
    ),
    document(DID_DOCUMENT_PATH, "DID document of this registry", didDocumentSchema, async () =>
      encodeDidDocument({ did, domain, urls: urls(), multiaddrs: await multiaddrs() }),
    ),
    document(DISCOVERY_PATH, "What is where", discoverySchema, async () =>
      encodeDiscovery({ name, did, spiffeId, domain, urls: urls(), multiaddrs: await multiaddrs() }),
    ),
    document(ENDPOINT_PATHS.bundle, "SPIFFE trust bundle of this registry", bundleSchema, () =>
      Promise.resolve(utf8(credentials.bundle())),
    ),
  ];
}

function healthRoutes({ node, store, clock }: FacadeContext): Route[] {
  const readiness = new Kept(clock, READINESS_KEPT_MS, async () => {
    const [status] = await Promise.all([node.status(), store.get(facadeKey("registryNonces"))]);
    return status.catalog.paused;
  });
  return [
    {
      ...{ method: "GET", path: HEALTH_PATH, summary: "Whether this process answers", access: "public", unlimited: true },
      answers: { 200: { description: "It does", schema: healthSchema } },
      handle: () => Promise.resolve(HEALTHY),
    },
    {
      ...{ method: "GET", path: "/readyz", summary: "Whether this registry can do its work", access: "public", unlimited: true },
      answers: { 200: { description: "It can", schema: healthSchema }, 503: { description: "It cannot; `detail` says why" } },
      handle: async () => {
        const paused = await readiness.get();
        if (paused !== null) {
          const headers = { "retry-after": String(RETRY_AFTER_SECONDS) };
          throw new ProblemError(503, "paused", `nothing is signed at the moment: ${paused}`, { headers });
        }
        return HEALTHY;
      },
    },
  ];
}
