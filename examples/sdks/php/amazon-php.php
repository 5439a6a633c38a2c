<?php

// amazon-php/sp-api-sdk: give this client to OAuth, in place of the application's
// own, and the account's name to exchangeRefreshToken. The URL of the token
// endpoint is fixed there; everything else passes.

use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\UriFactoryInterface;

final class VaultLwa implements ClientInterface
{
    private const VAULT = 'http://127.0.0.1:8100/v1/spapi/lwa';

    public function __construct(
        private readonly ClientInterface $client,
        private readonly UriFactoryInterface $uris,
        private readonly string $account,
    ) {
    }

    public function sendRequest(RequestInterface $request): ResponseInterface
    {
        if ($request->getUri()->getHost() === 'api.amazon.com') {
            $grantless = str_contains((string) $request->getBody(), 'client_credentials');
            $path = $grantless ? '/grantless/notifications' : '/token/' . $this->account;
            $request = $request->withUri($this->uris->createUri(self::VAULT . $path));
        }

        return $this->client->sendRequest($request);
    }
}
