'use strict'
// Access tokens from Vault in the form of Login with Amazon's token endpoint,
// through a Vault Proxy on this machine. No Vault token, refresh token or client
// secret is needed here.
//
//   SPAPI_LWA_URL=http://127.0.0.1:8100/v1/spapi/lwa
//
// The other files of this directory stand on this one. Node.js 18 or newer.

const scopes = new Map([
  ['sellingpartnerapi::notifications', 'notifications'],
  ['sellingpartnerapi::client_credential:rotation', 'client-credential-rotation'],
])

// With this header Vault Proxy may be told to insist on it
// (require_request_header), so that no web page can reach it through a browser.
const requestHeader = ['x-vault-request', 'true']

class LwaError extends Error {
  // code and message are those of the answer: error and error_description.
  constructor(code, message, status) {
    super(message)
    this.name = 'LwaError'
    this.code = code
    this.status = status
  }
}

// urlOf says where the tokens of an account ({account: 'acme'}), or those of a
// scope ({scope: 'sellingpartnerapi::notifications'}), come from.
function urlOf({account, scope}) {
  const base = process.env.SPAPI_LWA_URL
  if (!base) {
    throw new LwaError('invalid_request', 'SPAPI_LWA_URL is not set: http://127.0.0.1:8100/v1/spapi/lwa, for example')
  }
  let path
  if (scope) {
    if (!scopes.has(scope)) {
      throw new LwaError('invalid_scope', `Vault serves these scopes: ${[...scopes.keys()].join(', ')}`)
    }
    path = `grantless/${scopes.get(scope)}`
  } else {
    // What was pasted here by mistake must not become part of a URL.
    if (!/^\w([\w.@-]*\w)?$/.test(account ?? '')) {
      throw new LwaError('invalid_grant', 'in place of a refresh token stands the name of an account in Vault, such as acme')
    }
    path = `token/${account}`
  }
  return new URL(`${base.replace(/\/+$/, '')}/${path}`)
}

// requestToken asks Vault once. The answer is {access_token, expires_in, ...}.
async function requestToken({account, scope}) {
  const url = urlOf({account, scope})
  const grant = scope ? {grant_type: 'client_credentials', scope} : {grant_type: 'refresh_token'}
  let response, text
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: [['content-type', 'application/json'], requestHeader],
      body: JSON.stringify(grant),
      redirect: 'error',
      signal: AbortSignal.timeout(65_000), // Vault takes request_timeout, 10 s by default, twice at most.
    })
    text = await response.text()
  } catch (error) {
    throw new LwaError('temporarily_unavailable', `no answer from ${url.origin}: ${error.cause?.code ?? error.cause?.message ?? error.message}`)
  }
  const answer = parse(text)
  if (response.status === 200 && answer.access_token) {
    return answer
  }
  // What Vault itself refuses is in Vault's own shape.
  const description = answer.error_description ?? answer.errors?.join(', ')
  throw new LwaError(answer.error ?? 'access_denied', description || `Vault answered ${response.status}`, response.status)
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}

module.exports = {LwaError, requestHeader, requestToken, urlOf}
