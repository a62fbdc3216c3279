#!/bin/sh
# An agent with a key of its own registers, changes, removes and registers itself again, with openssl and curl alone
# (protocols/http/rest.md, "An agent with a key of its own"). node only spells the DID and reads JSON. CACERT has the registry's
# authorities in PEM, as `registry id --certificates --json` gives them and signed-curl.sh writes them.
set -e
URL=${URL:-https://localhost:8443} CACERT=${CACERT:-authority.pem}
ask() { curl --silent --show-error --cacert "$CACERT" --output answer --dump-header headers --write-out '%{http_code}\n' "$@"; }
said() { node -pe "JSON.parse(require('fs').readFileSync('answer')).$1"; }
header() { tr -d '\r' < headers | sed -n "s/^$1: //Ip"; }
put() { ask --data-binary @body --header 'Content-Type: application/json' "$@"; }

openssl genpkey -algorithm ed25519 -out agent.key
# did:key: base58btc of 0xed 0x01 and the key, behind a z.
DID=did:key:z$(openssl pkey -in agent.key -pubout -outform DER | tail -c 32 | node -e '
  let n = BigInt("0xed01" + require("fs").readFileSync(0).toString("hex")), text = "";
  for (; n > 0n; n /= 58n) text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[Number(n % 58n)] + text;
  console.log(text)')
ask "$URL/.well-known/agent-registry.json" > status
REGISTRY=$(said did)

# Every field, in the order of its name, without white space: this text is what is signed.
own() {
  printf '{"capabilities":["travel/trains"],"description":"Knows trains.","did":"%s",' "$DID"
  printf '"endpoints":[{"protocol":"a2a","url":"https://agent.example/a2a"}],"humanReadableId":"example/trains",'
  printf '"name":"Trains","registry":"%s","revision":%s,"status":"active","tags":[],"version":"%s"}' "$REGISTRY" "$1" "$2"
}
# sign REVISION VERSION: makes `body`.
sign() {
  own "$1" "$2" > own
  { printf 'theprotocol/agent-signature/v1\000'; cat own; } > covered
  SIGNATURE=$(openssl pkeyutl -sign -rawin -inkey agent.key -in covered | openssl base64 -A)
  { printf '{"agent_signature":"%s",' "$SIGNATURE"; tail -c +2 own; } > body
}

sign 1 1.0.0
echo "registered: $(put "$URL/agents")"
LOCATION=$(header location) TAG=$(header etag)
sign 2 2.0.0
echo "changed: $(put --request PUT --header "If-Match: $TAG" "$URL$LOCATION")"

# Nothing is handed in that could be signed: the request is (protocols/http/signing.md).
DIGEST="sha-256=:$(openssl dgst -sha256 -binary < /dev/null | openssl base64 -A):"
TIMESTAMP="$(date +%s)000" NONCE=$(openssl rand 16 | openssl base64 -A | tr '+/' '-_' | tr -d '=')
printf '%s\n' X-REGISTRY-SIG-V1 DELETE "${URL#https://}" "$LOCATION" "$DIGEST" "$DID" "$REGISTRY" "$TIMESTAMP" "$NONCE" > covered
SIGNATURE=$(openssl pkeyutl -sign -rawin -inkey agent.key -in covered | openssl base64 -A)
echo "removed: $(ask --request DELETE --header "Content-Digest: $DIGEST" --header "X-Registry-ID: $DID" \
  --header "X-Registry-Audience: $REGISTRY" --header "X-Registry-Timestamp: $TIMESTAMP" \
  --header "X-Registry-Nonce: $NONCE" --header "X-Registry-Signature: $SIGNATURE" "$URL$LOCATION")"

sign 1 1.0.0
echo "again at revision 1: $(put "$URL/agents")"
sign "$(said next_revision)" 1.0.0
echo "again at the next one: $(put "$URL/agents")"
echo "revision: $(said revision)"
