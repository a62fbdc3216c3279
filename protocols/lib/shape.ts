/**
 * Shapes: what a contract's JSON documents may hold, as data. One shape gives the check that names every wrong field
 * (`shapeIssues`), the JSON Schema (`shapeJsonSchema`) and the fast reader of canonical bytes (`shape-reader.ts`), so that
 * there is one source of the rules.
 */
export type Shape = TextShape | NumberShape | ListShape | ObjectShape;

export interface TextShape {
  readonly kind: "text";
  /** Lengths in UTF-16 code units. */
  readonly min: number;
  readonly max: number;
  /** Each is asked only when the type and the length are right and the tests before it held. */
  readonly tests: readonly TextTest[];
  /** A hint to the reader: the same text often stands in one document after another. */
  readonly recurs: boolean;
  /** For the JSON Schema: an ECMA-262 pattern that says the same as a test, or less. */
  readonly pattern?: string;
  /** For the JSON Schema: the only texts that are taken. */
  readonly values?: readonly string[];
}

export interface TextTest {
  readonly holds: (text: string) => boolean;
  /** What is wrong when it does not hold. */
  readonly message: string;
}

export interface NumberShape {
  readonly kind: "number";
  readonly min: number;
  readonly max: number;
  /** The number is this many parts of one: 1 for whole numbers, 100 for steps of 0.01. */
  readonly stepsPerUnit: number;
}

export interface ListShape {
  readonly kind: "list";
  readonly max: number;
  readonly item: Shape;
  /** Items are texts in ascending order of UTF-16 code units, none twice. */
  readonly ascending: boolean;
}

/** Closed: fields that are not named are refused. */
export interface ObjectShape {
  readonly kind: "object";
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly shape: Shape;
  readonly optional: boolean;
}

export function text(min: number, max: number, ...tests: readonly TextTest[]): TextShape {
  return { kind: "text", min, max, tests, recurs: false };
}

export function oneOf(...values: readonly string[]): TextShape {
  const test = { holds: (given: string) => values.includes(given), message: `expected one of: ${values.join(", ")}` };
  return { ...text(0, Number.MAX_SAFE_INTEGER, test), values, recurs: true };
}

/** @param pattern anchored at both ends, without control characters */
export function matching(pattern: RegExp, length: number, message: string): TextShape {
  return { ...text(length, length, { holds: (given: string) => pattern.test(given), message }), pattern: pattern.source };
}

export function recurring(shape: TextShape): TextShape {
  return { ...shape, recurs: true };
}

export function integer(min: number, max: number): NumberShape {
  return { kind: "number", min, max, stepsPerUnit: 1 };
}

export function steps(min: number, max: number, stepsPerUnit: number): NumberShape {
  return { kind: "number", min, max, stepsPerUnit };
}

export function list(max: number, item: Shape): ListShape {
  return { kind: "list", max, item, ascending: false };
}

export function ascendingList(max: number, item: TextShape): ListShape {
  return { kind: "list", max, item, ascending: true };
}

/** Names that end in `?` are optional fields. */
export function object(fields: Readonly<Record<string, Shape>>): ObjectShape {
  const field = ([name, shape]: [string, Shape]): Field =>
    name.endsWith("?") ? { name: name.slice(0, -1), shape, optional: true } : { name, shape, optional: false };
  return { kind: "object", fields: Object.entries(fields).map(field) };
}

/** Every way in which the value does not fit, as `path: what is wrong`; empty when it fits. Never throws. */
export function shapeIssues(value: unknown, shape: Shape): string[] {
  const issues: string[] = [];
  collect(value, shape, "", issues);
  return issues;
}

/** Whether the text has a fitting length and passes every test. */
export function fitsText(value: string, shape: TextShape): boolean {
  if (value.length < shape.min || value.length > shape.max) return false;
  for (const test of shape.tests) if (!test.holds(value)) return false;
  return true;
}

/** Whether the number is in range and a whole number of steps. */
export function numberFits(value: number, shape: NumberShape): boolean {
  const { min, max, stepsPerUnit } = shape;
  return value >= min && value <= max && Math.round(value * stepsPerUnit) / stepsPerUnit === value;
}

/** By UTF-16 code units, none twice. */
export function isAscending(items: readonly string[]): boolean {
  for (let i = 1; i < items.length; i++) if ((items[i - 1] as string) >= (items[i] as string)) return false;
  return true;
}

function collect(value: unknown, shape: Shape, path: string, issues: string[]): void {
  const say = (message: string): void => void issues.push(`${path === "" ? "(document)" : path}: ${message}`);
  switch (shape.kind) {
    case "text": {
      if (typeof value !== "string") return say(`expected a string, got ${typeName(value)}`);
      if (value.length < shape.min) return say(shape.min === 1 ? "empty" : `shorter than ${shape.min} characters`);
      if (value.length > shape.max) return say(`longer than ${shape.max} characters`);
      const failed = shape.tests.find((test) => !test.holds(value));
      return failed === undefined ? undefined : say(failed.message);
    }
    case "number":
      if (typeof value !== "number") return say(`expected a number, got ${typeName(value)}`);
      if (numberFits(value, shape)) return;
      return say(`expected a multiple of ${1 / shape.stepsPerUnit} from ${shape.min} to ${shape.max}, got ${value}`);
    case "list":
      if (!Array.isArray(value)) return say(`expected an array, got ${typeName(value)}`);
      if (value.length > shape.max) return say(`more than ${shape.max} items`);
      for (let i = 0; i < value.length; i++) collect(value[i], shape.item, path === "" ? `${i}` : `${path}.${i}`, issues);
      if (shape.ascending && value.every((item) => typeof item === "string") && !isAscending(value))
        say("not ascending and unique");
      return;
    case "object":
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        return say(`expected an object, got ${typeName(value)}`);
      }
      return collectFields(value as Readonly<Record<string, unknown>>, shape, path === "" ? "" : `${path}.`, issues);
  }
}

/** Unknown fields named in one message; a document may hold thousands. */
const UNKNOWN_FIELDS_NAMED_MAX = 8;
const FIELD_NAME_SHOWN_MAX = 64;

function collectFields(value: Readonly<Record<string, unknown>>, shape: ObjectShape, prefix: string, issues: string[]): void {
  for (const { name, shape: field, optional } of shape.fields) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given !== undefined) collect(given, field, prefix + name, issues);
    else if (!optional) issues.push(`${prefix}${name}: missing`);
  }
  const unknown = Object.keys(value).filter((name) => !shape.fields.some((field) => field.name === name));
  for (const name of unknown.slice(0, UNKNOWN_FIELDS_NAMED_MAX)) {
    issues.push(`${prefix}${name.slice(0, FIELD_NAME_SHOWN_MAX)}: unknown field`);
  }
  const more = unknown.length - UNKNOWN_FIELDS_NAMED_MAX;
  if (more > 0) issues.push(`${prefix === "" ? "(document)" : prefix.slice(0, -1)}: ${more} more unknown fields`);
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/**
 * JSON Schema (draft 2020-12). Necessary, not sufficient: it counts characters and not UTF-16 code units, and leaves out order,
 * steps and the tests that no pattern expresses.
 */
export function shapeJsonSchema(shape: Shape): Record<string, unknown> {
  switch (shape.kind) {
    case "text":
      if (shape.values !== undefined) return { type: "string", enum: shape.values };
      return {
        type: "string",
        ...(shape.min > 0 && { minLength: shape.min }),
        maxLength: shape.max,
        ...(shape.pattern !== undefined && { pattern: shape.pattern }),
      };
    case "number":
      return { type: shape.stepsPerUnit === 1 ? "integer" : "number", minimum: shape.min, maximum: shape.max };
    case "list":
      return {
        type: "array",
        maxItems: shape.max,
        ...(shape.ascending && { uniqueItems: true }),
        items: shapeJsonSchema(shape.item),
      };
    case "object":
      return {
        type: "object",
        properties: Object.fromEntries(shape.fields.map((field) => [field.name, shapeJsonSchema(field.shape)])),
        required: shape.fields.filter((field) => !field.optional).map((field) => field.name),
        additionalProperties: false,
      };
  }
}
