# frozen_string_literal: true

# amz_sp_api: a configuration for each account. The key of the lambda is a digest
# of client id and refresh token, and has no meaning here.

require "amz_sp_api"
require "sellers-api-model"
require_relative "vault_lwa"

def configuration_of(account)
  AmzSpApi::SpConfiguration.new.tap do |config|
    config.refresh_token = account
    config.client_id = config.client_secret = "in-vault"
    config.region = "eu"
    config.get_access_token = lambda do |key|
      # A restricted data token, which the library makes itself and keeps nowhere.
      key.include?("-RDT-") ? nil : VaultLWA.token(account)
    end
  end
end

client = AmzSpApi::SpApiClient.new(configuration_of("acme"))
puts AmzSpApi::SellersApiModel::SellersApi.new(client).get_marketplace_participations
