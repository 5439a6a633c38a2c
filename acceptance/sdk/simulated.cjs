// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0
'use strict'
// Loaded before anything else (node --require): SP-API is the simulated one, and
// nothing else is there over https. So a client that would ask Amazon for tokens
// fails.

const http = require('node:http')
const https = require('node:https')

const amazon = new URL(process.env.SIMULATED_SP_API)

https.request = (options, callback) => {
  const host = options.hostname ?? options.host
  if (!/^sellingpartnerapi-(na|eu|fe)\.amazon\.com$/.test(host)) {
    throw new Error(`nothing here but SP-API, but a client called ${host}`)
  }
  const {method, headers, path} = options
  return http.request({hostname: amazon.hostname, port: amazon.port, method, headers, path}, callback)
}
