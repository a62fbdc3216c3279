import type { HTTPMethods } from "fastify";
import type { z } from "zod";
import { jsonBody } from "./body.ts";
import { isOver, type App } from "./app.ts";
import { BODY_BYTES_MAX } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import type { RequestCaller } from "./request-caller.ts";
import type { Call, Route } from "./route.ts";

const METHODS: readonly HTTPMethods[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Mounts every route, and what says 405 with `Allow` for the other methods of their paths. */
export function mountRoutes(mounted: App, routes: readonly Route[]): void {
  for (const route of routes) mountRoute(mounted, route);
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) mountOthers(mounted, path, ofPath);
}

function mountRoute(mounted: App, route: Route): void {
  mounted.app.route({
    method: route.method,
    url: url(route.path),
    bodyLimit: route.bodyBytesMax ?? BODY_BYTES_MAX,
    config: { route },
    handler: async (request, reply) => {
      const caller = mounted.callerOf(request);
      const rawBody = request.body instanceof Uint8Array ? request.body : new Uint8Array(0);
      caller.setBody(rawBody);
      await admitBody(route, caller, rawBody);
      const { params, query, headers } = request;
      const call: Call = {
        params: route.params ? fit(route.params, params, "path") : params,
        query: route.query ? fit(route.query, query, "query") : query,
        body: route.body ? fit(route.body, jsonBody(rawBody, headers["content-type"]), "body") : undefined,
        ...{ rawBody, headers, caller, target: request.raw.url },
        onEnding: (listener) => {
          const { raw } = reply;
          if (isOver(raw)) return listener();
          const forget = caller.onEnding(listener);
          raw.once("close", () => {
            forget();
            listener();
          });
        },
      };
      return mounted.send(request, reply, await route.handle(call));
    },
  });
}

/** The rest of a registry's admission, whose steps need the body. */
async function admitBody(route: Route, caller: RequestCaller, rawBody: Uint8Array): Promise<void> {
  const { access } = route;
  if (access === "stranger") {
    await caller.admitStranger();
    caller.count("request");
  }
  if (route.isContinuation !== undefined) caller.count(route.isContinuation(rawBody, caller) ? "continuation" : "request");
  if (access === "stranger" || access === "registry") await caller.signedBy();
}

function mountOthers(mounted: App, path: string, routes: readonly Route[]): void {
  const allowed = routes.flatMap(({ method }): string[] => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const allow = allowed.join(", ");
  const refuse = (): never => {
    throw new ProblemError(405, "method_not_allowed", `only ${allow} can be asked of this path`, { headers: { allow } });
  };
  const method = METHODS.filter((name) => !allowed.includes(name));
  mounted.app.route({ method, url: url(path), onRequest: refuse, handler: refuse });
}

/** `/agents/{did}` as the router writes it. */
function url(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

/** Issues named in one answer; a document may have thousands. */
const ISSUES_MAX = 8;

/** @throws ProblemError `invalid`, naming every member that does not fit */
function fit(schema: z.ZodType, value: unknown, part: "path" | "query" | "body"): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join(".") || `(${part})`}: ${message}`);
  const more = issues.length > ISSUES_MAX ? `; and ${issues.length - ISSUES_MAX} more` : "";
  throw new ProblemError(400, "invalid", `the ${part} does not fit: ${issues.slice(0, ISSUES_MAX).join("; ")}${more}`);
}
