'use strict'
// Leads what a client sends to https://api.amazon.com/auth/o2/token to Vault, so
// that the client itself needs no change:
//
//   SPAPI_LWA_URL=http://127.0.0.1:8100/v1/spapi/lwa \
//     node --require ./lwa-through-vault.cjs app.js
//
// Configure the name of the account in Vault as the refresh token, and anything
// as the client id and the client secret. It works for clients that call Amazon
// through Node's https module, as amazon-sp-api, @sp-api-sdk/auth and Amazon's
// own SDK do, but not for those that use fetch or an HTTP proxy.

const http = require('node:http')
const https = require('node:https')
const {syncBuiltinESMExports} = require('node:module')
const {LwaError, requestHeader, urlOf} = require('./vault-lwa.cjs')

const base = new URL(process.env.SPAPI_LWA_URL ?? 'unset:')
const transports = {'http:': http.request, 'https:': https.request}
const request = transports[base.protocol]
if (!request) {
  throw new Error('SPAPI_LWA_URL is not set to an address such as http://127.0.0.1:8100/v1/spapi/lwa')
}

https.request = (...args) => {
  const {options, callback} = read(args)
  const host = (options.hostname ?? options.host ?? '').toLowerCase()
  if (host !== 'api.amazon.com' || options.path !== '/auth/o2/token') {
    return transports['https:'](...args)
  }
  return divert(options, callback)
}
// For what was imported by name.
syncBuiltinESMExports()

// read sorts the arguments of https.request: (url, options, callback), the first
// two of which may be left out.
function read(args) {
  const rest = [...args]
  let options = {}
  if (typeof rest[0] === 'string' || rest[0] instanceof URL) {
    const url = new URL(rest.shift())
    options = {hostname: url.hostname, port: url.port, path: url.pathname + url.search}
  }
  if (typeof rest[0] === 'object') {
    options = {...options, ...rest.shift()}
  }
  return {options, callback: rest[0]}
}

// divert makes the same request to Vault. What grant it is for stands in the
// body, so nothing is sent before that is complete.
function divert(options, callback) {
  const {method, headers, timeout, signal} = options
  const {hostname, port} = base
  const diverted = request({hostname: hostname.replace(/^\[|\]$/g, ''), port, path: base.pathname, method, headers, timeout, signal}, callback)
  diverted.setHeader('host', base.host)
  diverted.setHeader(...requestHeader)
  const {end} = diverted
  const body = []
  const collect = (chunk, encoding) => {
    body.push(Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8'))
  }
  diverted.write = (chunk, ...rest) => {
    collect(chunk, rest[0])
    const written = rest.find((argument) => typeof argument === 'function')
    if (written) process.nextTick(written)
    return true
  }
  diverted.end = (...rest) => {
    const ended = rest.find((argument) => typeof argument === 'function')
    if (rest.length > 0 && rest[0] != null && rest[0] !== ended) {
      collect(rest[0], rest[1])
    }
    const whole = Buffer.concat(body)
    try {
      diverted.path = urlOf(grantOf(whole.toString(), diverted.getHeader('content-type'))).pathname
    } catch (error) {
      return diverted.destroy(error)
    }
    return end.call(diverted, whole, ended)
  }
  return diverted
}

function grantOf(body, type) {
  const fields = /json/i.test(type) ? parse(body) : Object.fromEntries(new URLSearchParams(body))
  switch (fields.grant_type) {
    case 'refresh_token':
      return {account: fields.refresh_token}
    case 'client_credentials':
      return {scope: fields.scope}
    default:
      // An authorization code is for the engine's authorize/callback.
      throw new LwaError('unsupported_grant_type', 'Vault serves the grants refresh_token and client_credentials')
  }
}

// The text of an error of JSON.parse would hold a part of the body.
function parse(body) {
  try {
    return JSON.parse(body) ?? {}
  } catch {
    return {}
  }
}
