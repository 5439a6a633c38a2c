// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0
'use strict'
// Runs one client of the SP-API, by orders that come as lines of JSON on stdin:
// {"call": "seller"} or {"call": "grantless"} calls SP-API, with "at_once" several
// times, {"pass": seconds} puts the clock ahead. Each is answered by a line on
// stdout.
//
//   node client.cjs CLIENT ACCOUNT

const diagnostics = require('node:diagnostics_channel')
const readline = require('node:readline')
const {pathToFileURL} = require('node:url')

const scope = 'sellingpartnerapi::notifications'
const region = 'eu'
const endpoint = 'https://sellingpartnerapi-eu.amazon.com'
const participations = '/sellers/v1/marketplaceParticipations'
const destinations = '/notifications/v1/destinations'
const placeholder = 'in-vault'

// Files of the examples, which a user copies.
const example = (name) => require(`../../examples/sdks/node/${name}`)

// clients make a client for an account: {seller, grantless}, which call SP-API
// with a token of a selling partner and with a grantless one.
const clients = {
  'amazon-sp-api with hook': (account) => {
    const {VaultSellingPartner} = example('amazon-sp-api.cjs')
    return throughAmazonSpApi(new VaultSellingPartner({region, account}))
  },
  'amazon-sp-api': (account) => {
    const SellingPartner = require('amazon-sp-api')
    return throughAmazonSpApi(new SellingPartner({
      region,
      refresh_token: account,
      credentials: {SELLING_PARTNER_APP_CLIENT_ID: placeholder, SELLING_PARTNER_APP_CLIENT_SECRET: placeholder},
    }))
  },
  'sp-api-sdk with hook': (account) => {
    const {VaultAuth} = example('sp-api-sdk.cjs')
    return throughSpApiSdk(new VaultAuth({account}), new VaultAuth({scope}))
  },
  'sp-api-sdk': (account) => {
    const {SellingPartnerApiAuth, AuthorizationScope} = require('@sp-api-sdk/auth')
    const application = {clientId: placeholder, clientSecret: placeholder}
    return throughSpApiSdk(
      new SellingPartnerApiAuth({...application, refreshToken: account}),
      new SellingPartnerApiAuth({...application, scopes: [AuthorizationScope.NOTIFICATIONS]}),
    )
  },
  'amazon-sp-api-sdk-js': async (account) => {
    // It is an ES module, for which NODE_PATH does not count.
    const path = require.resolve('@amazon-sp-api-release/amazon-sp-api-sdk-js')
    const {SellersSpApi, NotificationsSpApi} = await import(pathToFileURL(path))
    const sellers = new SellersSpApi.ApiClient(endpoint)
    sellers.enableAutoRetrievalAccessToken(placeholder, placeholder, account, null)
    const notifications = new NotificationsSpApi.ApiClient(endpoint)
    notifications.enableAutoRetrievalAccessToken(placeholder, placeholder, null, scope)
    for (const client of [sellers, notifications]) client.disableRateLimiter()
    return {
      seller: async () => (await new SellersSpApi.SellersApi(sellers).getMarketplaceParticipations()).payload,
      grantless: async () => (await new NotificationsSpApi.NotificationsApi(notifications).getDestinations()).payload,
    }
  },
  // No SDK, but Node's own https as others may call it: as an ES module that was
  // there before the example was loaded, with a URL, and with a body in pieces.
  'https': async (account) => {
    const https = await import('node:https')
    example('lwa-through-vault.cjs')
    const {request} = https
    const ask = (fields) => received((callback) => {
      const headers = {'content-type': 'application/x-www-form-urlencoded'}
      const asked = request('https://api.amazon.com/auth/o2/token', {method: 'POST', headers}, callback)
      const body = String(new URLSearchParams(fields))
      asked.write(body.slice(0, 9))
      asked.write(Buffer.from(body.slice(9, 20)), () => asked.end(body.slice(20)))
      return asked
    })
    const call = (path, fields) => async () => {
      const {access_token: token} = await ask(fields)
      const headers = {'x-amz-access-token': token}
      return (await received((callback) => request({hostname: new URL(endpoint).hostname, path, headers}, callback).end())).payload
    }
    return {
      seller: call(participations, {grant_type: 'refresh_token', refresh_token: account}),
      grantless: call(destinations, {grant_type: 'client_credentials', scope}),
    }
  },
}

// received is the JSON that a request is answered with.
function received(send) {
  return new Promise((resolve, reject) => {
    send(async (response) => {
      const chunks = await response.toArray()
      resolve(JSON.parse(Buffer.concat(chunks)))
    }).on('error', reject)
  })
}

function throughAmazonSpApi(client) {
  return {
    exchange: () => client.exchange('an-authorization-code'),
    seller: () => client.callAPI({operation: 'getMarketplaceParticipations', endpoint: 'sellers'}),
    grantless: () => client.callAPI({operation: 'getDestinations', endpoint: 'notifications'}),
  }
}

function throughSpApiSdk(seller, grantless) {
  const {createAxiosInstance} = require('@sp-api-sdk/common')
  const call = (auth, path) => {
    const {axios, endpoint} = createAxiosInstance({auth, region}, [])
    return async () => (await axios.get(endpoint + path)).data.payload
  }
  return {seller: call(seller, participations), grantless: call(grantless, destinations)}
}

// seen is what was asked of Vault since the last answer.
let seen
const forget = () => { seen = {token_requests: 0, vault_token_sent: false} }
const note = (path, names) => {
  if (path.includes('/lwa/')) {
    seen.token_requests++
    seen.vault_token_sent ||= names.some((name) => /^(x-vault-token|authorization)$/i.test(name))
  }
}
forget()
diagnostics.subscribe('http.client.request.start', ({request}) => note(request.path, request.getHeaderNames()))
diagnostics.subscribe('undici:request:create', ({request}) => {
  note(request.path, [request.headers].flat(2).join('\r\n').split(/\r\n|: /))
})

let ahead = 0
const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length > 0 ? args : [RealDate.now() + ahead]))
  }

  static now() {
    return RealDate.now() + ahead
  }
}

// told is what an error tells whoever catches it.
function told(error) {
  return {
    code: error.code ?? '',
    message: [error.message, error.innerMessage].filter(Boolean).join(': '),
    status: error.status ?? error.response?.status ?? 0,
    body: error.response?.data ?? error.response?.body ?? null,
  }
}

async function obey(client, order) {
  if (order.pass) {
    ahead += order.pass * 1000
    return {}
  }
  const calls = Array.from({length: order.at_once ?? 1}, () => client[order.call]())
  return {result: await Promise.all(calls)}
}

async function main([name, account]) {
  const client = await clients[name](account)
  for await (const line of readline.createInterface({input: process.stdin})) {
    let answer
    try {
      answer = await obey(client, JSON.parse(line))
    } catch (error) {
      answer = {error: told(error)}
    }
    console.log(JSON.stringify({...answer, ...seen}))
    forget()
  }
}

main(process.argv.slice(2))
