<?php

// jlevers/selling-partner-api: where the application builds its connectors. With
// highsidelabs/laravel-spapi, set the token endpoint of the connector that the
// model Credentials gives, in the same way.

use SellingPartnerApi\Enums\Endpoint;
use SellingPartnerApi\Seller\SellerConnector;
use SellingPartnerApi\SellingPartnerApi;

const VAULT = 'http://127.0.0.1:8100/v1/spapi/lwa';

// The library's cache knows tokens by the refresh token alone: one for each
// account.
function connectorOf(string $account): SellerConnector
{
    $connector = SellingPartnerApi::seller(
        clientId: 'in-vault',
        clientSecret: 'in-vault',
        refreshToken: $account,
        endpoint: Endpoint::EU,
    );
    $connector->oauthConfig()->setTokenEndpoint(VAULT . '/token/' . $account);

    return $connector;
}

// A connector has one token endpoint: operations without a selling partner, such
// as createDestination, need one of their own.
function grantlessConnector(): SellerConnector
{
    $connector = SellingPartnerApi::seller(
        clientId: 'in-vault',
        clientSecret: 'in-vault',
        refreshToken: 'grantless',
        endpoint: Endpoint::EU,
    );
    $connector->oauthConfig()->setTokenEndpoint(VAULT . '/grantless/notifications');

    return $connector;
}
