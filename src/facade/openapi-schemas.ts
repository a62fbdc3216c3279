/**
 * Schemas that have a `title` stand once, under `components/schemas`, by that title without its blanks; wherever they are used, a
 * reference takes their place.
 */
export function namedSchemas(document: unknown): { readonly document: unknown; readonly schemas: Record<string, unknown> } {
  const schemas: Record<string, unknown> = {};
  const hoisted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(hoisted);
    if (typeof value !== "object" || value === null) return value;
    const { $schema: _, ...members } = value as Record<string, unknown>;
    const made = Object.fromEntries(Object.entries(members).map(([name, member]) => [name, hoisted(member)]));
    const { title } = members;
    if (typeof title !== "string") return made;
    const name = nameOf(title);
    if (name in schemas && JSON.stringify(schemas[name]) !== JSON.stringify(made)) {
      throw new Error(`two schemas are called "${title}"`);
    }
    schemas[name] = made;
    return { $ref: `#/components/schemas/${name}` };
  };
  return { document: hoisted(document), schemas };
}

/** `Agent record` as AgentRecord. */
function nameOf(title: string): string {
  const words = title.split(/[^A-Za-z0-9]+/).filter(Boolean);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}
