// Amazon's own SDK for Java (software.amazon.spapi:spapi-sdk): where the
// application builds its API objects.

import com.amazon.SellingPartnerAPIAA.LWAAuthorizationCredentials;
import software.amazon.spapi.api.notifications.v1.NotificationsApi;
import software.amazon.spapi.api.orders.v0.OrdersV0Api;

final class OfficialSdk {
    private static final String VAULT = "http://127.0.0.1:8100/v1/spapi/lwa";
    private static final String SP_API = "https://sellingpartnerapi-eu.amazon.com";

    /** Client id and secret must be there, but are not looked at. */
    private static LWAAuthorizationCredentials.LWAAuthorizationCredentialsBuilder vault(String path) {
        return LWAAuthorizationCredentials.builder()
                .clientId("in-vault")
                .clientSecret("in-vault")
                .endpoint(VAULT + path);
    }

    /** The refresh token is the SDK's cache key as well: one for each account. */
    static OrdersV0Api orders(String account) {
        return new OrdersV0Api.Builder()
                .lwaAuthorizationCredentials(vault("/token/" + account).refreshToken(account).build())
                .endpoint(SP_API)
                .build();
    }

    /** For operations without a selling partner, such as createDestination. */
    static NotificationsApi notifications() {
        return new NotificationsApi.Builder()
                .lwaAuthorizationCredentials(vault("/grantless/notifications")
                        .withScope("sellingpartnerapi::notifications")
                        .build())
                .endpoint(SP_API)
                .build();
    }
}
