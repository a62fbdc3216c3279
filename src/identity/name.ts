import { ProtocolError } from "../../protocols/lib/errors.ts";

/** Characters of a registry's name; a SPIFFE ID as a whole may have 2,048 bytes (SPIFFE-ID §2.4). */
export const REGISTRY_NAME_LENGTH_MAX = 64;

/**
 * What is wrong with a registry's name and what to do, or `undefined` when it is fine. The name is one path segment of a SPIFFE
 * ID (SPIFFE-ID §2.2): letters, digits, ".", "-" and "_", but neither "." nor "..".
 */
export function registryNameProblem(name: string): string | undefined {
  if (name === "") return "a registry's name must not be empty";
  if (name.length > REGISTRY_NAME_LENGTH_MAX) {
    return `a registry's name has at most ${REGISTRY_NAME_LENGTH_MAX} characters, this one has ${name.length}`;
  }
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    return `the registry's name ${JSON.stringify(name)} may hold only letters, digits, ".", "-" and "_" (it is part of its SPIFFE ID)`;
  }
  if (name === "." || name === "..") return `a registry cannot be named "${name}"; add a letter or digit`;
  return undefined;
}

/** `spiffe://<trust domain>/registry/<name>`. @throws ProtocolError `schema` for a name that no SPIFFE ID can carry */
export function spiffeId(trustDomain: string, name: string): string {
  const problem = registryNameProblem(name);
  if (problem !== undefined) throw new ProtocolError("schema", problem);
  return `spiffe://${trustDomain}/registry/${name}`;
}
