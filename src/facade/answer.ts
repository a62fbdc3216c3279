import { encodeProblem, PROBLEM_MEDIA_TYPE } from "../../protocols/http/problem.ts";
import { signResponse } from "../../protocols/http/signed-response.ts";
import type { Spliced } from "../../protocols/http/json-document.ts";
import { utf8 } from "../../protocols/lib/bytes.ts";
import type { RegistryIdentity } from "../identity/registry-identity.ts";
import type { ProblemError } from "./problem.ts";
import { rateFields } from "./rate-fields.ts";
import type { RequestCaller } from "./request-caller.ts";
import type { Answer, Route } from "./route.ts";

/** An answer as it is sent. */
export interface Sent {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** No page, script or frame may be made of what we answer, and nobody keeps it who is not told to. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

export function sentAnswer(answer: Answer, route: Route | undefined): Sent {
  const { status, headers = {}, body } = answer;
  const bytes = body === undefined ? NOTHING : body instanceof Uint8Array ? body : utf8(JSON.stringify(body));
  const mediaType = route?.answers[status]?.mediaType ?? "application/json";
  return {
    status,
    body: bytes,
    headers: {
      ...SECURITY_HEADERS,
      ...(bytes.length > 0 && { "content-type": mediaType }),
      ...(isOpen(route) && { "access-control-allow-origin": "*" }),
      ...headers,
    },
  };
}

export function sentProblem({ status, code, message, headers, extra }: ProblemError, route: Route | undefined): Sent {
  // What a route adds is plain JSON.
  const body = encodeProblem({ code, status, detail: message, extra: extra as Readonly<Record<string, Spliced>> });
  return sentAnswer({ status, body, headers: { "content-type": PROBLEM_MEDIA_TYPE, ...headers } }, route);
}

/** The sender's budget, and our signature for a registry that has shown its certificate and signed, whatever the answer is. */
export function addressed(sent: Sent, caller: RequestCaller | undefined, identity: RegistryIdentity): Sent {
  if (caller === undefined) return sent;
  const { answerTo, budget } = caller;
  const { status, body } = sent;
  const signed =
    answerTo &&
    signResponse({ status, body, requestSignature: answerTo.signature }, identity.did, (bytes) => identity.sign(bytes));
  return { ...sent, headers: { ...sent.headers, ...(budget && rateFields(budget)), ...signed } };
}

/** What anybody may read may be read by any web page too. */
function isOpen(route: Route | undefined): boolean {
  return route?.method === "GET" && route.access === "public";
}

const NOTHING = new Uint8Array(0);
