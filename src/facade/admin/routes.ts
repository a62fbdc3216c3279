import { z } from "zod";
import { AdminError } from "../../admin/errors.ts";
import { NDJSON, parseStrict, readLines } from "../../admin/ndjson.ts";
import { mutationsLine } from "../../admin/messages.ts";
import { ROUTES, type Route as AdminRoute, type RouteContext } from "../../admin/routes.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";
import type { Answer, Call, Route } from "../route.ts";
import { refuseCrossOrigin, refuseForeignHost } from "../same-origin.ts";

/** Batches of mutations in one request; more go in several. */
export const ADMIN_BODY_BYTES_MAX = 4_194_304;
/** Lines of one answer, in bytes; it is complete before it is sent. */
export const ADMIN_ANSWER_BYTES_MAX = 8_388_608;

const STOP_PATH = "/admin/stop";
/** A caller over HTTPS hears nothing in between, so that of a sync only its end counts. */
const SYNC_PATH = "/admin/sync";

const queryInput: z.ZodType = z.record(z.string(), z.string());
const bodyInput: z.ZodType = z.record(z.string(), z.unknown());

/**
 * The admin API of the local socket (src/admin/routes.ts) for operators elsewhere: the same paths, inputs and results. Two things
 * differ, since an answer is complete before it is sent: refusals are problem documents, also in the middle of a stream, and a
 * stream is bounded (ADMIN_ANSWER_BYTES_MAX); of a sync its result is the only line.
 * @param requestStop drains and ends the process; without it `/admin/stop` is not offered
 */
export function adminRoutes(context: FacadeContext, requestStop?: () => void): Route[] {
  const node = { ...context.node, credentials: context.credentials, requestStop: requestStop ?? ((): void => undefined) };
  // The answer to a stop goes out before the process ends, so it cannot wait for that.
  const admin: RouteContext = { node, clock: context.clock, closed: Promise.resolve() };
  const offered = Object.entries(ROUTES).filter(([path]) => path !== STOP_PATH || requestStop !== undefined);
  return offered.flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => mounted(context, admin, path, method as Route["method"], route)),
  );
}

function mounted(context: FacadeContext, admin: RouteContext, path: string, method: Route["method"], route: AdminRoute): Route {
  const takesLines = route.kind === "duplex";
  const mediaType = route.kind === "json" ? "application/json" : NDJSON;
  return {
    ...{ method, path, access: "operator", summary: `For operators: ${method} ${path} of the admin socket` },
    ...(method === "POST" ? !takesLines && { body: bodyInput } : { query: queryInput }),
    ...(takesLines && { lines: mutationsLine, bodyBytesMax: ADMIN_BODY_BYTES_MAX }),
    answers: {
      200: { description: takesLines ? "a line for each line of the request" : "what the command line gets", mediaType },
      404: { description: "what was named is not there" },
      409: { description: "no proof can be made at the moment" },
      413: { description: "a request or an answer of more bytes than one may have" },
      415: { description: "the body has another media type" },
      502: { description: "another registry could not be reached" },
      507: { description: "the store takes no more" },
    },
    handle: async (call) => {
      refuseForeignHost(context, call);
      refuseCrossOrigin(context, call);
      try {
        return await answer(admin, path, route, call);
      } catch (error) {
        if (error instanceof AdminError) throw new ProblemError(error.status, error.code, error.message, { cause: error });
        throw error;
      }
    },
  };
}

/** @throws AdminError, NodeError */
async function answer(admin: RouteContext, path: string, route: AdminRoute, call: Call): Promise<Answer> {
  const input = call.body ?? call.query;
  switch (route.kind) {
    case "json":
      return { status: 200, body: await route.run(admin, input) };
    case "stream":
      return lines(route.run(admin, input), path);
    case "duplex":
      return lines(route.run(admin, given(call)), path);
  }
}

/** Lines, or one JSON document that may have line breaks. @throws AdminError `unsupported_media_type`, `bad_request` */
function given({ headers, rawBody }: Call): AsyncIterable<unknown> {
  const type = headers["content-type"]?.split(";")[0]?.trim();
  if (type === NDJSON) return readLines(once(rawBody));
  if (type === "application/json") return once(parseStrict(rawBody));
  throw new AdminError("unsupported_media_type", `send ${NDJSON} or application/json, not ${type ?? "nothing"}`);
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

async function lines(values: AsyncIterable<unknown>, path: string): Promise<Answer> {
  let sent: Buffer[] = [];
  let bytes = 0;
  for await (const value of values) {
    const line = Buffer.from(JSON.stringify(value) + "\n");
    if (path === SYNC_PATH) [sent, bytes] = [[], 0];
    sent.push(line);
    bytes += line.length;
    if (bytes > ADMIN_ANSWER_BYTES_MAX) {
      throw new AdminError(
        "too_large",
        `the answer has more than ${ADMIN_ANSWER_BYTES_MAX} bytes: read /admin/agents page by page`,
      );
    }
    // It is on its way: that it has stopped is seen when its port closes.
    if (path === STOP_PATH && sent.length > 1) return { status: 200, body: sent[0] };
  }
  return { status: 200, body: Buffer.concat(sent) };
}
