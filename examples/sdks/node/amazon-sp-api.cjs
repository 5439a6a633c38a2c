'use strict'
// For the package amazon-sp-api:
//
//   const {VaultSellingPartner} = require('./amazon-sp-api.cjs')
//   const acme = new VaultSellingPartner({region: 'eu', account: 'acme'})
//   await acme.callAPI({operation: 'getMarketplaceParticipations', endpoint: 'sellers'})

const SellingPartner = require('amazon-sp-api')
const {requestToken} = require('./vault-lwa.cjs')

class VaultSellingPartner extends SellingPartner {
  // account is the name of the account in Vault. It may be left out with
  // options.only_grantless_operations.
  constructor({account, ...config}) {
    super({
      ...config,
      refresh_token: account,
      credentials: {SELLING_PARTNER_APP_CLIENT_ID: 'in-vault', SELLING_PARTNER_APP_CLIENT_SECRET: 'in-vault'},
    })
    this.account = account
  }

  // The package calls this when it has no token, and when SP-API says that the
  // one it has is expired.
  async refreshAccessToken(scope) {
    const {access_token: token} = await requestToken(scope ? {scope} : {account: this.account})
    if (scope) {
      this._grantless_tokens[scope] = token
    } else {
      this._access_token = token
    }
  }
}

module.exports = {VaultSellingPartner}
