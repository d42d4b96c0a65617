// A real OpenID provider (npm oidc-provider) on loopback, for the tests and the demo.
//
//   node op.mjs [PORT]       0 or nothing: a free one; the last word of the first line is the issuer
//
// Environment: ALG = RS256 (default) | ES256 | EdDSA | Ed25519; PASTE_REDIRECT = the CA's /sign-in
// address, which makes the client "jit-ssh-paste"; ID_TOKEN_TTL in seconds.
// People: alice (Ops), bob (none), carol (Engineering), dave (Ops and Engineering, no e-mail
// verified). `POST /test/people/NAME` with a JSON body changes one, `DELETE` removes one: a person
// who leaves a group, or the company, between sign-in and renewal.
import http from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';

const people = {
  alice: { email: 'alice@example.com', email_verified: true, preferred_username: 'alice', groups: ['Ops'] },
  bob: { email: 'bob@example.com', email_verified: true, preferred_username: 'bob', groups: [] },
  carol: { email: 'carol@example.com', email_verified: true, preferred_username: 'carol', groups: ['Engineering'] },
  dave: { email: 'dave@example.com', email_verified: false, preferred_username: 'dave', groups: ['Ops', 'Engineering'] },
};

const alg = process.env.ALG || 'RS256';
const jwk = (kid, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, use: 'sig',
});
const client = (client_id, application_type, redirect_uris) => ({
  client_id, application_type, redirect_uris,
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  id_token_signed_response_alg: alg,
});

function provider(issuer) {
  const clients = [client('jit-ssh', 'native', ['http://127.0.0.1/callback'])];
  if (process.env.PASTE_REDIRECT) {
    // A native client may not register a loopback address with https, so this one is a web client.
    clients.push(client('jit-ssh-paste', 'web', [process.env.PASTE_REDIRECT]));
  }
  return new Provider(issuer, {
    clients,
    jwks: {
      keys: [
        jwk('rsa-1', 'rsa', { modulusLength: 2048 }),
        jwk('ec-1', 'ec', { namedCurve: 'P-256' }),
        jwk('ed-1', 'ed25519', {}),
      ],
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA', 'Ed25519'] },
    scopes: ['openid', 'offline_access'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username'],
      groups: ['groups'],
    },
    conformIdTokenClaims: false, // claims of the scopes stand in the ID token itself
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount: async (ctx, id) => people[id] && {
      accountId: id,
      claims: async () => ({ sub: id, ...people[id] }),
    },
    // `offline_access` is granted only with `prompt=consent` (OpenID Connect Core, section 11).
    issueRefreshToken: async (ctx, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    ttl: {
      IdToken: +(process.env.ID_TOKEN_TTL || 300), AccessToken: 300, AuthorizationCode: 60,
      RefreshToken: 3600, Session: 3600, Interaction: 600, Grant: 3600,
    },
    cookies: { keys: [randomUUID()] },
  });
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}');
}

let callback;
const server = http.createServer(async (request, response) => {
  const person = request.url.match(/^\/test\/people\/([a-z]+)$/)?.[1];
  if (!person) return callback(request, response);
  if (request.method === 'DELETE') delete people[person];
  else people[person] = { ...people[person], ...await body(request) };
  response.writeHead(204).end();
});
server.listen(+(process.argv[2] || 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const op = provider(issuer);
  op.on('server_error', (ctx, error) => console.error('server_error', error));
  callback = op.callback();
  console.log(`OpenID provider at ${issuer}`);
});
process.stdin.on('end', () => process.exit(0)); // ends with whoever started it
if (process.env.END_WITH_STDIN) process.stdin.resume();
