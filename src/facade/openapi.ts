import { z } from "zod";
import { ENDPOINT_PATHS } from "../../protocols/http/discovery-document.ts";
import { utf8 } from "../../protocols/lib/bytes.ts";
import { NDJSON } from "../admin/ndjson.ts";
import { PROBLEM_MEDIA_TYPE, problemSchema } from "../../protocols/http/problem.ts";
import { ANSWER_HEADERS, answerHeadersOf, answersOf, REQUEST_HEADERS, requestHeadersOf } from "./openapi-parts.ts";
import { namedSchemas } from "./openapi-schemas.ts";
import type { Access, AnswerDescription, Route } from "./route.ts";

const OPENAPI_VERSION = "3.1.0";

/** Of the interface, not of the package. */
const REST_VERSION = "1.0.0";

const SECURITY_SCHEMES = {
  mutualTls: { type: "mutualTLS", description: "X509-SVID of the caller's own trust domain." },
  registrySignature: {
    ...{ type: "apiKey", in: "header", name: "X-Registry-Signature" },
    description:
      "Ed25519 signature of the request by the key in X-Registry-ID: of a registry, or of an agent. Covers X-Registry-ID, -Audience, -Timestamp, -Nonce and Content-Digest.",
  },
  operatorToken: { type: "http", scheme: "bearer", description: "The operator's token of this registry." },
} as const;

type Requirement = Readonly<Partial<Record<keyof typeof SECURITY_SCHEMES, readonly string[]>>>;

/** Any one entry of a list suffices; all schemes of an entry are needed. */
const SECURITY: Readonly<Record<Access, readonly Requirement[]>> = {
  public: [],
  registry: [{ mutualTls: [], registrySignature: [] }],
  stranger: [{ mutualTls: [], registrySignature: [] }],
  owner: [{ operatorToken: [] }, { mutualTls: [] }, { registrySignature: [] }],
  operator: [{ operatorToken: [] }, { mutualTls: [] }],
};

const JSON_MEDIA_TYPE = "application/json";

/** The description of all operations (OpenAPI 3.1), from the same data from which they are mounted. */
export function openApiDocument(routes: readonly Route[]): Record<string, unknown> {
  const ofPaths = Map.groupBy(routes, (route) => route.path);
  const operations = Object.fromEntries(
    [...ofPaths].map(([path, ofPath]) => [
      path,
      Object.fromEntries(ofPath.map((route) => [route.method.toLowerCase(), operation(route)])),
    ]),
  );
  const { document: paths, schemas } = namedSchemas(operations);
  return {
    openapi: OPENAPI_VERSION,
    info: { title: "Agent registry", version: REST_VERSION, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: {
      securitySchemes: SECURITY_SCHEMES,
      headers: ANSWER_HEADERS,
      schemas: { ...schemas, Problem: jsonSchema(problemSchema) },
    },
  };
}

/** `GET /openapi.json`: the description of `routes` and of itself. */
export function openApiRoute(routes: readonly Route[]): Route {
  const route: Route = {
    ...{ method: "GET", path: ENDPOINT_PATHS.openapi, summary: "Description of this interface (OpenAPI 3.1)", access: "public" },
    answers: { 200: { description: "The description", schema: z.looseObject({ openapi: z.string() }) } },
    handle: () => Promise.resolve({ status: 200, body: document }),
  };
  const document = utf8(JSON.stringify(openApiDocument([...routes, route])));
  return route;
}

function operation(route: Route): Record<string, unknown> {
  const headers = requestHeadersOf(route).map(([name, required]) => ({ name, in: "header", required, ...REQUEST_HEADERS[name] }));
  const parameters = [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query"), ...headers];
  return {
    operationId: operationId(route),
    summary: route.summary,
    security: securityOf(route),
    ...(parameters.length > 0 && { parameters }),
    ...requestBodyOf(route),
    responses: {
      ...Object.fromEntries(
        Object.entries(answersOf(route)).map(([status, answer]) => [status, response(route, Number(status), answer)]),
      ),
      default: {
        description: "What was wrong and what to do (RFC 9457).",
        content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    },
  };
}

function requestBodyOf({ body, lines }: Route): Record<string, unknown> {
  const given = body ?? lines;
  if (given === undefined) return {};
  const media = { schema: jsonSchema(given) };
  const content = { ...(lines && { [NDJSON]: media }), [JSON_MEDIA_TYPE]: media };
  return { requestBody: { required: true, ...(lines && { description: LINES }), content } };
}

const LINES = "Lines, each a JSON document of this schema; or one such document as JSON.";

/** Such as `get_agents_did_proof`. */
function operationId({ method, path }: Route): string {
  return [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/).filter(Boolean)].join("_");
}

/** What an agent signs may also stand in the body, which no scheme can say. */
function securityOf({ access, body }: Route): readonly Requirement[] {
  return access === "owner" && body !== undefined ? [{}, ...SECURITY.owner] : SECURITY[access];
}

function response(route: Route, status: number, answer: AnswerDescription): Record<string, unknown> {
  const { description, schema, mediaType } = answer;
  const names = [...answerHeadersOf(route, status, answer)];
  const headers = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
  const described = { description, ...(names.length > 0 && { headers }) };
  const isProblem = status >= FIRST_ERROR_STATUS && schema === undefined;
  if (isProblem) return { ...described, content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } } };
  if (schema !== undefined) return { ...described, content: { [mediaType ?? JSON_MEDIA_TYPE]: { schema: jsonSchema(schema) } } };
  return mediaType === undefined ? described : { ...described, content: { [mediaType]: {} } };
}

const FIRST_ERROR_STATUS = 400;

/** The members of an object schema as parameters. */
function parametersOf(schema: z.ZodType | undefined, place: "path" | "query"): Record<string, unknown>[] {
  if (schema === undefined) return [];
  // What a text is read as: a parameter is described by its value, not by its spelling.
  const { properties = {} } = jsonSchema(schema, "output") as {
    readonly properties?: Record<string, { readonly description?: string }>;
  };
  const { required = [] } = jsonSchema(schema) as { readonly required?: readonly string[] };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    ...{ name, in: place, required: place === "path" || required.includes(name), schema: rest },
    ...(description !== undefined && { description }),
  }));
}

/** What a schema takes, as JSON Schema 2020-12; what no JSON Schema can say is left open. */
function jsonSchema(schema: z.ZodType, io: "input" | "output" = "input"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return rest;
}
