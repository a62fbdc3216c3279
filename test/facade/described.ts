import assert from "node:assert/strict";
import { z } from "zod";
import { openApiDocument } from "../../src/facade/openapi.ts";
import type { Route } from "../../src/facade/route.ts";
import type { Received, Sending } from "./harness.ts";

/** The parts of OpenAPI 3.1 that are used here; members that are not named are mistakes. */
const reference = z.strictObject({ $ref: z.string().startsWith("#/components/") });
const schema = z.union([reference, z.record(z.string(), z.unknown())]);
const content = z.record(z.string().regex(/^[a-z]+\/[a-z.+-]+$/), z.strictObject({ schema: schema.optional() }));
const parameter = z.strictObject({
  name: z.string().min(1),
  in: z.enum(["path", "query", "header"]),
  required: z.boolean(),
  description: z.string().optional(),
  schema,
});
const response = z.strictObject({
  description: z.string().min(1),
  headers: z.record(z.string(), reference).optional(),
  content: content.optional(),
});
const operation = z.strictObject({
  operationId: z.string().regex(/^[A-Za-z0-9_]+$/),
  summary: z.string().min(1),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(parameter).optional(),
  requestBody: z.strictObject({ required: z.boolean(), description: z.string().optional(), content }).optional(),
  responses: z.record(z.string().regex(/^(?:[1-5]\d\d|default)$/), response),
});
const method = z.enum(["get", "post", "put", "delete"]);
const openApi = z.strictObject({
  openapi: z.literal("3.1.0"),
  info: z.strictObject({
    title: z.string(),
    version: z.string(),
    license: z.strictObject({ name: z.string(), identifier: z.string() }),
  }),
  paths: z.record(z.string().startsWith("/"), z.partialRecord(method, operation)),
  components: z.strictObject({
    securitySchemes: z.record(
      z.string(),
      z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("mutualTLS"), description: z.string() }),
        z.strictObject({ type: z.literal("apiKey"), in: z.literal("header"), name: z.string(), description: z.string() }),
        z.strictObject({ type: z.literal("http"), scheme: z.literal("bearer"), description: z.string() }),
      ]),
    ),
    headers: z.record(z.string(), z.strictObject({ description: z.string(), schema })),
    schemas: z.record(z.string().regex(/^[A-Za-z0-9._-]+$/), schema),
  }),
});

type JSONSchema = Exclude<Parameters<typeof z.fromJSONSchema>[0], boolean>;
type Contents = Readonly<Record<string, { readonly schema?: unknown }>>;

export interface Operation {
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: unknown }[] | undefined;
  readonly requestBody?: { readonly content: Contents } | undefined;
  readonly responses: Readonly<
    Record<string, { readonly headers?: Readonly<Record<string, unknown>> | undefined; readonly content?: Contents | undefined }>
  >;
}

/** An answer as a client got it. */
export interface Answered {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** Headers that are about the message or the server at large, and are in no description. */
const UNDESCRIBED: readonly RegExp[] = [
  /^:/,
  /^(?:content-(?:type|length|security-policy)|date|connection|keep-alive|transfer-encoding|cache-control)$/,
  /^(?:x-content-type-options|referrer-policy|access-control-allow-origin|accept)$/,
];

/** A description of the interface, checked in full, against which answers can be held. */
export class Described {
  readonly operations: readonly { readonly path: string; readonly method: string; readonly operation: Operation }[];
  readonly #document: z.infer<typeof openApi>;
  readonly #schemas = new Map<string, z.ZodType>();

  /** @throws where it is no OpenAPI, names what is not there, or has a schema that is none */
  constructor(document: unknown) {
    this.#document = openApi.parse(document);
    this.operations = Object.entries(this.#document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([name, one]) => ({ path, method: name, operation: one })),
    );
    for (const [, place] of JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)) this.#find(place as string);
  }

  /** Every JSON Schema in it, by where it stands. */
  schemas(): Map<string, unknown> {
    const { components } = this.#document;
    const found = new Map<string, unknown>(Object.entries(components.schemas));
    for (const { path, method: name, operation: one } of this.operations) {
      const at = `${name} ${path}`;
      for (const each of one.parameters ?? []) found.set(`${at} ${each.name}`, each.schema);
      for (const [type, { schema: body }] of Object.entries(one.requestBody?.content ?? {})) found.set(`${at} ${type}`, body);
      for (const [status, { content: bodies = {} }] of Object.entries(one.responses)) {
        for (const [type, { schema: body }] of Object.entries(bodies)) found.set(`${at} ${status} ${type}`, body ?? {});
      }
    }
    return found;
  }

  /** What fits a schema of the document, its references included. */
  checker(given: unknown): z.ZodType {
    const text = JSON.stringify(given);
    const known = this.#schemas.get(text);
    if (known !== undefined) return known;
    const $defs = Object.fromEntries(
      Object.entries(this.#document.components.schemas).map(([name, one]) => [name, this.#local(one)]),
    );
    const checker = z.fromJSONSchema({ ...this.#local(given), $defs });
    this.#schemas.set(text, checker);
    return checker;
  }

  /** Holds an answer against the description: its status, its headers, its body. */
  check({ method: asked, path, status, headers, body }: Answered): void {
    const found = this.operations.find((one) => one.method === asked.toLowerCase() && fits(path, one.path));
    const at = `${asked} ${path}: ${status}`;
    assert.ok(found !== undefined, `${at} is described nowhere`);
    const described = found.operation.responses[status];
    const detail = Buffer.from(body).toString().slice(0, 300);
    assert.ok(described !== undefined, `${at} is not described: ${detail}`);
    const named = Object.keys(described.headers ?? {}).map((name) => name.toLowerCase());
    for (const [name, value] of headers) {
      if (UNDESCRIBED.some((pattern) => pattern.test(name))) continue;
      assert.ok(named.includes(name), `${at}: the header ${name}: ${value} is not described`);
      const [, one] = Object.entries(this.#document.components.headers).find(([key]) => key.toLowerCase() === name) ?? [];
      assert.ok(one !== undefined, name);
      const isInteger = "type" in one.schema && one.schema["type"] === "integer";
      this.checker(one.schema).parse(isInteger ? Number(value) : value);
    }
    const types = Object.entries(described.content ?? {});
    if (body.length === 0) return;
    // Which type it has is said by the description where the answer was not sent yet.
    const type = headers.get("content-type")?.split(";")[0] ?? types[0]?.[0];
    const [, media] = types.find(([each]) => each === type) ?? [];
    assert.ok(media !== undefined, `${at}: ${type} is not described`);
    if (media.schema !== undefined) this.checker(media.schema).parse(JSON.parse(Buffer.from(body).toString()));
  }

  /** The same of an exchange over HTTP/2. */
  checkExchange({ method: asked = "GET", path }: Sending, { status, headers, body }: Received): void {
    const texts = new Map(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    this.check({ method: asked, path: path.replace(/\?.*/, ""), status, headers: texts, body });
  }

  #find(place: string): unknown {
    const [root, ...names] = place.split("/");
    assert.equal(root, "#", place);
    let at: unknown = this.#document;
    for (const name of names) at = (at as Record<string, unknown> | undefined)?.[name];
    assert.ok(at !== undefined, `${place} is not there`);
    return at;
  }

  /** With references as the converter takes them, and without what it does not know. */
  #local(given: unknown): JSONSchema {
    const text = JSON.stringify(given).replaceAll("#/components/schemas/", "#/$defs/");
    return JSON.parse(text, (name, value: unknown) => (name === "dependentRequired" ? undefined : value)) as JSONSchema;
  }
}

const made = new Map<string, Described>();

/** The description of these routes. */
export function describedBy(routes: readonly Route[]): Described {
  const names = routes.map(({ method: name, path }) => `${name} ${path}`).join();
  const known = made.get(names) ?? new Described(openApiDocument(routes));
  made.set(names, known);
  return known;
}

function fits(path: string, template: string): boolean {
  return new RegExp(`^${template.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`).test(path);
}
