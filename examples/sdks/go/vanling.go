// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build ignore

// vanling1111/amazon-sp-api-go-sdk: where the application builds its clients.
package main

import "github.com/vanling1111/amazon-sp-api-go-sdk/pkg/spapi"

const vault = "http://127.0.0.1:8100/v1/spapi/lwa"

// clientOf needs a client id and a secret, which are not looked at.
func clientOf(account string) (*spapi.Client, error) {
	region := spapi.RegionEU
	region.LWAEndpoint = vault + "/token/" + account
	return spapi.NewClient(spapi.WithRegion(region), spapi.WithCredentials("in-vault", "in-vault", account))
}

// grantlessClient is for operations without a selling partner, such as
// createDestination.
func grantlessClient() (*spapi.Client, error) {
	region := spapi.RegionEU
	region.LWAEndpoint = vault + "/grantless/notifications"
	return spapi.NewClient(spapi.WithRegion(region),
		spapi.WithGrantlessCredentials("in-vault", "in-vault", []string{"sellingpartnerapi::notifications"}))
}
