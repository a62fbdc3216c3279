#!/bin/sh
# Asks the registry acme for the newest changes of its catalogue in the name of the registry beta, with openssl and curl alone.
set -e
ACME=${ACME:-.registry/acme} BETA=${BETA:-.registry/beta} URL=${URL:-https://localhost:8443} TARGET=/federation/sync/catalog
REGISTRY=${REGISTRY:-npm run --silent registry --}
say() { $REGISTRY id --certificates --json --data-dir "$1" | node -pe "JSON.parse(require('fs').readFileSync(0))$2"; }
ID=$(say "$BETA" .did) AUDIENCE=$(say "$ACME" .did)
say "$ACME" '.authorities.map((each) => each.pem).join("")' > authority.pem
# A client certificate of beta for a day, by the authority whose certificate acme has seen in beta's descriptor.
printf 'subjectAltName=URI:%s\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n' "$(say "$BETA" .spiffeId)" > svid.ext
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout svid.key -subj /CN=beta -out svid.csr
openssl x509 -req -in svid.csr -CA "$BETA/tls/authority-1.pem" -CAkey "$BETA/tls/authority-1.pem" \
  -set_serial "0x$(openssl rand -hex 16)" -days 1 -extfile svid.ext -out svid.pem

printf '{"last_sync":null,"merkle_root":null,"requested_changes":{"max_batch_size":10,"include_proofs":true}}' > body
DIGEST="sha-256=:$(openssl dgst -sha256 -binary body | openssl base64 -A):"
TIMESTAMP="$(date +%s)000" NONCE=$(openssl rand 16 | openssl base64 -A | tr '+/' '-_' | tr -d '=')
printf '%s\n' X-REGISTRY-SIG-V1 POST "${URL#https://}" "$TARGET" "$DIGEST" "$ID" "$AUDIENCE" "$TIMESTAMP" "$NONCE" > signed
SIGNATURE=$(openssl pkeyutl -sign -rawin -inkey "$BETA/registry.key" -in signed | openssl base64 -A)
curl --silent --show-error --fail-with-body --data-binary @body --cert svid.pem --key svid.key --cacert authority.pem \
  --header 'Content-Type: application/json' --header "Content-Digest: $DIGEST" --header "X-Registry-ID: $ID" \
  --header "X-Registry-Audience: $AUDIENCE" --header "X-Registry-Timestamp: $TIMESTAMP" \
  --header "X-Registry-Nonce: $NONCE" --header "X-Registry-Signature: $SIGNATURE" "$URL$TARGET"
