import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { ContactProblem, ContactProblemCode } from "../api.ts";
import { WebError } from "../ports/web.ts";

/** What others say of themselves goes into a reason; it is cut after so many characters. */
const REASON_LENGTH_MAX = 400;

/** Nobody was found there, or nobody who had time: it may be otherwise in a moment. Everything else was said by whoever answered. */
const PASSING: ReadonlySet<ContactProblemCode> = new Set(["unreachable", "timeout", "throttled"]);

export function isPassing({ code }: ContactProblem): boolean {
  return PASSING.has(code);
}

export function contactProblem(code: ContactProblemCode, reason: string, fix: string): ContactProblem {
  return { code, reason: reason.length > REASON_LENGTH_MAX ? `${reason.slice(0, REASON_LENGTH_MAX)}…` : reason, fix };
}

/** Why a registry could not be asked who it is, and what the operator can do. */
export function problemOf(url: string, error: Error): ContactProblem {
  if (error instanceof ProtocolError) return problemOfAnswer(url, error);
  const problem = (code: ContactProblemCode, fix: string): ContactProblem => contactProblem(code, error.message, fix);
  const code = error instanceof WebError ? error.code : undefined;
  switch (code) {
    case "unreachable":
      return problemOfConnection(url, error);
    case "timeout":
      return problem("timeout", "check its host and port, that it runs, and that no firewall stands between");
    case "throttled":
      return problem("throttled", "nothing now: it asks for patience, and is asked again");
    case "wrong_identity":
      return problem(
        "untrusted",
        "find out who answers there: a registry shows a certificate of its own, or a valid one of the public web for that host",
      );
    case "forbidden_address":
      return problem("redirected", "name the URL under which the registry itself answers");
    default:
      return problem("no_registry", noRegistry(url));
  }
}

function problemOfConnection(url: string, error: Error): ContactProblem {
  const { code = "" } = (error.cause ?? {}) as { readonly code?: string };
  const reason = error.message;
  if (/^(?:ENOTFOUND|EAI_)/.test(code))
    return contactProblem("unreachable", reason, "check the name for a mistake, and that this machine can look names up");
  if (code === "ECONNREFUSED")
    return contactProblem("unreachable", reason, "nothing listens there: check the port, or have that registry started");
  if (code === "ECONNRESET")
    return contactProblem(
      "unreachable",
      reason,
      "check that this is the port of its HTTPS interface, and that no firewall cuts in",
    );
  if (code === "EPROTO" || code.startsWith("ERR_SSL_"))
    return contactProblem(
      "no_tls",
      `${url} speaks no TLS that is taken here (${code})`,
      "name the port of its HTTPS interface, as its `registry status` shows it",
    );
  return contactProblem("unreachable", reason, "check its host and port, that it runs, and that no firewall stands between");
}

function problemOfAnswer(url: string, error: ProtocolError): ContactProblem {
  const isOfTime = error.code === "expired" || error.code === "not_yet_valid";
  if (isOfTime) return contactProblem("clock", error.message, "synchronise the clocks with NTP, here and there");
  return contactProblem("no_registry", error.message, noRegistry(url));
}

function noRegistry(url: string): string {
  return `check host, port and path: at ${url}/federation/public a registry says who it is`;
}
