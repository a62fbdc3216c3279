import { z } from "zod";
import { CHECKPOINT_BYTES_MAX } from "../checkpoint/note.ts";
import { TIME_MS_MAX } from "../checkpoint/commit.ts";
import { DID_LENGTH_MAX } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { EPOCH_MAX } from "../record/record.ts";
import {
  BUNDLE_LENGTH_MAX,
  type Descriptor,
  DESCRIPTOR_LIFETIME_MS_MAX,
  type DescriptorFields,
  DOMAIN_LENGTH_MAX,
  FACADE_URL_LENGTH_MAX,
  FACADE_URLS_MAX,
  MULTIADDR_LENGTH_MAX,
  MULTIADDRS_MAX,
  REGISTRY_NAME_LENGTH_MAX,
  SEQUENCE_MAX,
} from "./descriptor.ts";

/** The characters of a SPIFFE path segment (SPIFFE-ID §2.2); `.` and `..` alone are not a segment. */
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;
const MULTIADDR = /^(?:\/[!-.0-~]+)+$/;
const DNS_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const DOMAIN = new RegExp(`^${DNS_LABEL}(?:\\.${DNS_LABEL})*$`);

const name = z.string().max(REGISTRY_NAME_LENGTH_MAX).regex(NAME, "expected letters, digits, '.', '-' and '_'");
const time = z.int().min(0).max(TIME_MS_MAX);

const fields = z
  .strictObject({
    did: z.string().max(DID_LENGTH_MAX),
    name,
    peerId: z.string().max(DID_LENGTH_MAX),
    spiffeId: z.string().max(DID_LENGTH_MAX),
    multiaddrs: z.array(z.string().max(MULTIADDR_LENGTH_MAX).regex(MULTIADDR, "not a multiaddr")).max(MULTIADDRS_MAX),
    sequence: z.int().min(1).max(SEQUENCE_MAX),
    issuedAt: time,
    expiresAt: time,
    catalog: z.strictObject({
      epoch: z.int().min(0).max(EPOCH_MAX),
      previous: z.string().max(CHECKPOINT_BYTES_MAX).optional(),
    }),
    domain: z.string().max(DOMAIN_LENGTH_MAX).regex(DOMAIN, "not a lower-case DNS name").optional(),
    facade: z
      .strictObject({
        urls: z.array(z.string().max(FACADE_URL_LENGTH_MAX).refine(isHttps, "not an https URL")).max(FACADE_URLS_MAX),
      })
      .optional(),
    bundle: z.string().max(BUNDLE_LENGTH_MAX).optional(),
    next: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits")
      .optional(),
    signature: z.string().length(88).optional(),
  })
  .refine((d) => d.expiresAt > d.issuedAt, { path: ["expiresAt"], message: "not after issuedAt" })
  .refine((d) => d.expiresAt - d.issuedAt <= DESCRIPTOR_LIFETIME_MS_MAX, {
    path: ["expiresAt"],
    message: `more than ${DESCRIPTOR_LIFETIME_MS_MAX} ms after issuedAt`,
  });

/** Whether the text can be a registry's name: 1 to REGISTRY_NAME_LENGTH_MAX characters of a SPIFFE path segment. */
export function isRegistryName(text: string): boolean {
  return name.safeParse(text).success;
}

/** What is signed, so without a signature. @throws ProtocolError `schema`, naming every field that does not fit */
export function checkFields(value: unknown): DescriptorFields {
  const { signature, ...rest } = check(value);
  if (signature !== undefined) throw new ProtocolError("schema", "signature: set by signing");
  return rest as DescriptorFields;
}

/** @throws ProtocolError `schema`, naming every field that does not fit */
export function checkDescriptor(value: unknown): Descriptor {
  const checked = check(value);
  if (checked.signature === undefined) throw new ProtocolError("schema", "signature: missing");
  return checked as Descriptor;
}

function check(value: unknown): z.infer<typeof fields> {
  const result = fields.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join(".") || "(document)"}: ${issue.message}`);
  throw new ProtocolError("schema", issues.join("; "), { fields: issues.length });
}

function isHttps(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === "https:" && username === "" && password === "";
}
