'use strict'
// For the packages @sp-api-sdk/*:
//
//   const {VaultAuth} = require('./sp-api-sdk.cjs')
//   const orders = new OrdersApiClient({region: 'eu', auth: new VaultAuth({account: 'acme'})})
//   const notifications = new NotificationsApiClient({
//     region: 'eu', auth: new VaultAuth({scope: AuthorizationScope.NOTIFICATIONS}),
//   })

const {SellingPartnerApiAuth} = require('@sp-api-sdk/auth')
const {requestToken} = require('./vault-lwa.cjs')

// A token is used until this much of its life is left, or half of a shorter one.
const margin = 5 * 60_000

class VaultAuth extends SellingPartnerApiAuth {
  #grant
  #current
  #pending

  constructor({account, scope}) {
    const grant = scope ? {scopes: [scope]} : {refreshToken: account}
    super({...grant, clientId: 'in-vault', clientSecret: 'in-vault'})
    this.#grant = {account, scope}
  }

  async getAccessToken() {
    if (this.#current && Date.now() < this.#current.renewAt) {
      return this.#current.token
    }
    // Callers that come at the same time share one request.
    this.#pending ??= this.#request().finally(() => { this.#pending = undefined })
    return this.#pending
  }

  get accessTokenExpiration() {
    return this.#current?.expiration
  }

  async #request() {
    const asked = Date.now()
    const {access_token: token, expires_in: seconds} = await requestToken(this.#grant)
    const life = seconds * 1000
    this.#current = {token, expiration: new Date(asked + life), renewAt: asked + life - Math.min(margin, life / 2)}
    return token
  }
}

module.exports = {VaultAuth}
